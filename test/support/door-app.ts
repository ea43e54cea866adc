import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';

/**
 * An app for the tests of the door, run as a process of a node: it knows nothing of Skein. It keeps notes in `app.db`, and does
 * what a path asks for.
 */
const database = new DatabaseSync(join(process.env.SKEIN_DIR ?? '.', 'app.db'), { timeout: 5_000 });
const node = process.env.FLY_MACHINE_ID ?? '';

if (process.argv[2] === 'prepare') {
  database.exec('PRAGMA journal_mode = WAL');
  database.exec('CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT, node TEXT)');
  process.exit(0);
}

const routes: Record<string, (request: IncomingMessage, response: ServerResponse) => Promise<void> | void> = {
  'GET /notes': (_request, response) => answer(response, 200, notes()),
  'GET /note': (request, response) => {
    const wanted = new URLSearchParams(request.url?.split('?')[1]).get('text');
    const found = database.prepare('SELECT id, text, node FROM notes WHERE text = ?').all(wanted);
    answer(response, 200, { node, notes: found });
  },
  'POST /notes': async (request, response) => add(await text(request), response),
  'GET /write': (request, response) => {
    // What SQLite says on a replica at once, where the driver knows of it.
    if (request.headers['fly-replay-src'] === undefined && request.headers['x-write-here'] === undefined)
      response.writeHead(409, { 'skein-replay': 'primary' }).end();
    else add('by GET', response);
  },
  'POST /replay': async (request, response) => {
    const body = await text(request);
    const source = request.headers['fly-replay-src'];
    const order = request.headers['x-order'];
    if (source === undefined && typeof order === 'string')
      response.writeHead(202, { 'fly-replay': order }).end();
    else answer(response, 200, { node, source, body });
  },
  'POST /count': async (request, response) => {
    let bytes = 0;
    for await (const chunk of request) bytes += chunk.length;
    answer(response, 200, { node, bytes });
  },
  'GET /slow': (_request, response) => {
    setTimeout(() => answer(response, 200, { node }), 1_000);
  },
  'GET /headers': (request, response) => answer(response, 200, { node, headers: request.headers }),
  'GET /crash': (_request, response) => {
    response.writeHead(200, { 'content-length': 1_000 }).write('some');
    setTimeout(() => process.exit(1), 50);
  },
  'GET /events': (request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    let count = 0;
    const timer = setInterval(() => {
      count += 1;
      response.write(`data: ${count}\n\n`);
    }, 20);
    request.on('close', () => clearInterval(timer));
  },
};

createServer((request, response) => {
  const route = routes[`${request.method} ${request.url?.split('?')[0]}`];
  if (!route) {
    answer(response, 404, { node });
    return;
  }
  Promise.resolve()
    .then(() => route(request, response))
    .catch((error: unknown) => answer(response, 500, { node, error: String(error) }));
})
  .on('upgrade', (_request, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.write(`${node}:`);
    socket.write(head);
    socket.pipe(socket);
  })
  .listen(Number(process.env.PORT), '127.0.0.1');

function notes(): object {
  const found = database.prepare('SELECT id, text, node FROM notes ORDER BY id').all();
  return { node, notes: found };
}

function add(note: string, response: ServerResponse): void {
  const { lastInsertRowid } = database
    .prepare('INSERT INTO notes (text, node) VALUES (?, ?)')
    .run(note, node);
  answer(response, 201, { node, id: Number(lastInsertRowid) });
}

function answer(response: ServerResponse, status: number, body: object): void {
  if (!response.headersSent) response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
