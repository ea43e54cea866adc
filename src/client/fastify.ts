import type { IncomingMessage, ServerResponse } from 'node:http';
import { Middleware } from './middleware.ts';
import type { MiddlewareOptions } from './middleware-options.ts';
import { localNode } from './node-functions.ts';

type OnRequest = (
  request: { readonly raw: IncomingMessage },
  reply: { readonly raw: ServerResponse },
  done: () => void,
) => void;

/** As much of a Fastify instance as is needed; Fastify's own types fit. */
type FastifyLike = { addHook(name: 'onRequest', hook: OnRequest): unknown };

/** A plugin for Fastify 4 and 5: `await app.register(fastify, options)`, before the routes. */
export const fastify: ((app: FastifyLike, options: MiddlewareOptions, done: () => void) => void) & {
  readonly [flag: symbol]: unknown;
} = Object.assign(
  (app: FastifyLike, options: MiddlewareOptions, done: () => void) => {
    const middleware = new Middleware(localNode(), options);
    app.addHook('onRequest', (request, reply, next) => middleware.handle(request.raw, reply.raw, next));
    done();
  },
  {
    // For the whole app, not only for what is registered within the plugin.
    [Symbol.for('skip-override')]: true,
    [Symbol.for('fastify.display-name')]: 'skein',
  },
);
