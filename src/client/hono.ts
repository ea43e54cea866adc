import type { IncomingMessage, ServerResponse } from 'node:http';
import { Middleware } from './middleware.ts';
import type { MiddlewareOptions } from './middleware-options.ts';
import { localNode } from './node-functions.ts';

/** As much of Hono's context as is needed; Hono's own type fits. */
type HonoContext = { readonly env: unknown };
export type HonoMiddleware = (
  context: HonoContext,
  next: () => Promise<void>,
) => Promise<Response | undefined>;

/**
 * For Hono on `@hono/node-server`: `app.use(hono())`, before everything else. On any other server there is no `node:http`
 * request to work with, and it lets everything through as it is.
 */
export function hono(options: MiddlewareOptions = {}): HonoMiddleware {
  const middleware = new Middleware(localNode(), options);
  return (context, next) => {
    const { incoming, outgoing } = (context.env ?? {}) as {
      incoming?: IncomingMessage;
      outgoing?: ServerResponse;
    };
    // To Hono, no response is one that has been set.
    const goOn = () => next() as Promise<unknown> as Promise<undefined>;
    if (!incoming || !outgoing) return goOn();
    // Most requests go on at once, and need no promise but the app's own.
    let passed: Promise<undefined> | undefined;
    let answered: ((response: Promise<undefined>) => void) | undefined;
    middleware.handle(incoming, outgoing, () => {
      passed = goOn();
      answered?.(passed);
    });
    if (passed) return passed;
    return new Promise((resolve) => {
      answered = resolve;
      // Where the app is not asked, the answer has gone out by the time that the response closes.
      const alreadySent = () => new Response(null, { headers: { 'x-hono-already-sent': 'true' } });
      outgoing.once('close', () => resolve(alreadySent()));
    });
  };
}
