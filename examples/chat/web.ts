// The web process, on every node: the page, and its WebSockets.

import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { hostname } from 'node:os';
import { WebSocketServer } from 'ws';
import { Messages } from './messages.ts';
import { Presence } from './presence.ts';
import { Room } from './room.ts';

const port = Number(process.env.PORT ?? 8080);
const region = process.env.SKEIN_REGION ?? 'local';
const node = process.env.FLY_MACHINE_ID ?? hostname();
/** Where browsers reach this node, if not all nodes have one address: a page whose node is gone tries the others' then. */
const url = process.env.CHAT_URL;

const types = { html: 'text/html', css: 'text/css', js: 'text/javascript' };
const names = ['page.html', 'page.css', 'page.js', 'line.js', 'log.js', 'outbox.js', 'places.js'];
const files = new Map(names.map((name) => [`/${name}`, contentOf(name)]));
files.set('/', contentOf('page.html'));

const messages = new Messages();
const presence = new Presence(node, { region, ...(url ? { url } : {}) });
const room = new Room(node, region, messages, presence);
const sockets = new WebSocketServer({ noServer: true, maxPayload: 16 << 10 });

const server = createServer(answer);
server.requestTimeout = 10_000;
server.on('upgrade', (request, socket, head) => {
  socket.on('error', () => socket.destroy());
  if (request.url !== '/socket' || !isWelcome(request) || room.isFull) {
    socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    return;
  }
  sockets.handleUpgrade(request, socket, head, (opened) => room.add(opened));
});
server.once('error', (error) => {
  console.error(`cannot listen on port ${port}: ${error.message}`);
  process.exit(1);
});
server.listen(port, '127.0.0.1', () => console.log(`listening on port ${port}, region ${region}`));

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);

/** The page knows where it was served, also when it cannot connect there any more. */
function contentOf(name: string): { body: Buffer; kind: keyof typeof types } {
  const text = readFileSync(new URL(name, import.meta.url), 'utf8');
  const kind = name.split('.').at(-1) as keyof typeof types;
  return { body: Buffer.from(text.replace('data-region="local"', () => `data-region="${region}"`)), kind };
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const file = files.get((request.url ?? '/').replace(/\?.*/s, ''));
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  if (!file || !isRead) {
    response.writeHead(file ? 405 : 404, { 'content-type': 'text/plain' });
    response.end(file ? 'only GET here\n' : 'no such page\n');
    return;
  }
  response.writeHead(200, {
    'content-type': `${types[file.kind]}; charset=utf-8`,
    'content-length': file.body.length,
    'cache-control': 'no-cache',
  });
  response.end(file.body);
}

/** Pages of this chat may connect, from this node or another; those of other sites may not. */
function isWelcome({ headers }: IncomingMessage): boolean {
  const origin = headers.origin === undefined ? null : URL.parse(headers.origin);
  if (headers.origin === undefined || origin?.host === headers.host) return true;
  return presence
    .places()
    .some((place) => place.url !== undefined && URL.parse(place.url)?.host === origin?.host);
}

function stop(): void {
  room.stop();
  presence.stop();
  server.close();
  // The last words to the pages and the nodes take an instant.
  setTimeout(() => {
    messages.close();
    process.exit(0);
  }, 200);
}
