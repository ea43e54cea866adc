import { createServer } from 'node:http';
import { DatabaseSync } from 'node:sqlite';
import {
  express as expressMiddleware,
  fastify as fastifyPlugin,
  guard,
  hono as honoMiddleware,
} from 'skein/client';
import { reportReady, reportResult, taskInput } from './child-task.ts';
import { databaseName } from './items.ts';

export type Framework = 'node:http' | 'express' | 'fastify' | 'hono';
/** No middleware, one that does nothing, or the library's. */
export type Contender = 'bare' | 'empty' | 'library';
export type AppInput = { framework: Framework; contender: Contender; port: number; directory: string };

/** An app that reads one row for each request: bare, or with the middleware and the guard. Its node is in the environment. */
if (import.meta.main) {
  const { framework, contender, port, directory } = taskInput<AppInput>();
  const plain = new DatabaseSync(`${directory}/${databaseName}`, { timeout: 5_000 });
  const database = contender === 'library' ? guard(plain) : plain;
  const row = database.prepare('SELECT id, length(body) AS bytes FROM items WHERE id = ?');
  let last = 0;
  const answer = () => {
    last = (last + 1) % 1_000;
    return row.get(last + 1);
  };
  await listen(framework, contender, port, answer);
  process.on('SIGTERM', () => {
    reportResult({});
    process.exit(0);
  });
  reportReady();
}

async function listen(
  framework: Framework,
  contender: Contender,
  port: number,
  answer: () => unknown,
): Promise<void> {
  const host = '127.0.0.1';
  if (framework === 'node:http') {
    const middleware = contender === 'library' ? expressMiddleware() : pass;
    const handle: Parameters<typeof createServer>[1] = (_request, response) => {
      const text = JSON.stringify(answer());
      response.writeHead(200, {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
      });
      response.end(text);
    };
    const server = createServer(
      contender !== 'bare'
        ? (request, response) => middleware(request, response, () => handle(request, response as never))
        : handle,
    );
    await new Promise<void>((resolve) => server.listen(port, host, resolve));
  } else if (framework === 'express') {
    const { default: express } = await import('express');
    const app = express();
    if (contender === 'empty') app.use(pass);
    if (contender === 'library') app.use(expressMiddleware());
    app.get('/item', (_request: unknown, response: { json(body: unknown): void }) => response.json(answer()));
    await new Promise((resolve) => app.listen(port, host, resolve));
  } else if (framework === 'fastify') {
    const { default: fastify } = await import('fastify');
    const app = fastify();
    if (contender === 'empty') app.addHook('onRequest', pass);
    if (contender === 'library') await app.register(fastifyPlugin, {});
    app.get('/item', async () => answer());
    await app.listen({ port, host });
  } else {
    const { serve } = await import('@hono/node-server');
    const { Hono } = await import('hono');
    const app = new Hono();
    if (contender === 'empty') app.use((_context: unknown, next: () => Promise<void>) => next());
    if (contender === 'library') app.use(honoMiddleware());
    app.get('/item', (context) => context.json(answer() as object));
    await new Promise<void>((resolve) => serve({ fetch: app.fetch, port, hostname: host }, () => resolve()));
  }
}

function pass(_request: unknown, _response: unknown, next: () => void): void {
  next();
}
