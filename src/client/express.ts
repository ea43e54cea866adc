import type { IncomingMessage, ServerResponse } from 'node:http';
import { Middleware } from './middleware.ts';
import type { MiddlewareOptions } from './middleware-options.ts';
import { localNode } from './node-functions.ts';

/** Express's own types are not needed for this: any `(request, response, next)` framework will do. */
export type ExpressMiddleware = (
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/** For Express 4 and 5, Connect and the like: `app.use(express())`, before anything that reads bodies. */
export function express(options: MiddlewareOptions = {}): ExpressMiddleware {
  const middleware = new Middleware(localNode(), options);
  return (request, response, next) => middleware.handle(request, response, () => next());
}
