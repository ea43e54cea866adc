// The web process: reads from this node's own file, and records visits where the file may be written.

import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { openDatabase, primaryNode } from './database.ts';
import { Places } from './places.ts';
import { Visits, WriteRefused } from './visits.ts';

const port = Number(process.env.PORT ?? 8080);
const region = process.env.FLY_REGION ?? 'local';
const primaryRegion = process.env.PRIMARY_REGION ?? 'the primary region';
const resultsMax = 100;
const nameLengthMax = 100;
const writesPendingMax = 100;
const mapDots = 14_000;

/** A request that cannot be answered: the status and the text of the JSON error. */
class RequestError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => stopping.abort());
}

const page = readFileSync(new URL('page.html', import.meta.url));
const reader = await openDatabase({ timeoutMs: 5000, signal: stopping.signal }).catch(exitIfStopping);
const writer = await openDatabase({ timeoutMs: 0, signal: stopping.signal }).catch(exitIfStopping);
const places = new Places(reader);
const visits = new Visits(writer, 1000);
let writesPending = 0;

const server = createServer(async (request, response) => {
  try {
    await answer(request, response);
  } catch (error) {
    answerError(response, error);
  }
});
server.requestTimeout = 10_000;
server.maxConnections = 1000;
server.once('error', (error) => {
  console.error(`cannot listen on port ${port}: ${error.message}`);
  process.exit(1);
});
server.listen(port, process.env.HOST, () => console.log(`listening on port ${port}, region ${region}`));

stopping.signal.addEventListener('abort', () => {
  server.close(() => {
    reader.close();
    writer.close();
    console.log('web stopped');
    process.exit(0);
  });
  server.closeIdleConnections();
  // A client that keeps its request open does not keep the process alive.
  setTimeout(() => server.closeAllConnections(), 2000).unref();
});

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = URL.parse(request.url ?? '/', 'http://localhost');
  if (!url) throw new RequestError(400, 'the path is not a valid URL');
  const visitPath = /^\/places\/([^/]+)\/visits$/.exec(url.pathname);
  if (visitPath) {
    requireMethod(request, response, ['POST']);
    await answerVisit(response, integerOf('id', visitPath[1]));
    return;
  }
  requireMethod(request, response, ['GET', 'HEAD']);
  if (url.pathname === '/') {
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-length': page.length });
    response.end(page);
    return;
  }
  const began = performance.now();
  const found = query(url);
  const tookMs = Math.round((performance.now() - began) * 1000) / 1000;
  answerJson(response, 200, { region, tookMs, ...found });
}

/** The answer to every GET of data. */
function query(url: URL): object {
  const parameters = url.searchParams;
  const placePath = /^\/places\/([^/]+)$/.exec(url.pathname);
  if (placePath) return { place: placeOf(integerOf('id', placePath[1])) };
  switch (url.pathname) {
    case '/search':
      return { results: places.search(nameOf(parameters.get('name')), limitOf(parameters)) };
    case '/near': {
      const latitude = numberOf('lat', parameters.get('lat'), 90);
      const longitude = numberOf('lon', parameters.get('lon'), 180);
      return { results: places.near(latitude, longitude, limitOf(parameters)) };
    }
    case '/countries':
      return { countries: places.countries() };
    case '/map':
      return { dots: places.largest(mapDots) };
    case '/health':
      places.byId(0);
      return { status: 'ok' };
    default:
      throw new RequestError(404, `no page at ${url.pathname}`);
  }
}

async function answerVisit(response: ServerResponse, placeId: number): Promise<void> {
  placeOf(placeId);
  if (writesPending >= writesPendingMax)
    throw new RequestError(503, 'too many writes are waiting; try again');
  writesPending += 1;
  try {
    const began = performance.now();
    const visit = await visits.record(placeId, region);
    const tookMs = Math.round((performance.now() - began) * 1000) / 1000;
    answerJson(response, 201, { region, tookMs, visit });
  } finally {
    writesPending -= 1;
  }
}

function placeOf(id: number): object {
  const place = places.byId(id);
  if (!place) throw new RequestError(404, `no place has the id ${id}`);
  return place;
}

function requireMethod(request: IncomingMessage, response: ServerResponse, allowed: string[]): void {
  if (allowed.includes(request.method ?? '')) return;
  response.setHeader('allow', allowed.join(', '));
  throw new RequestError(405, `only ${allowed.join(' and ')} here`);
}

function nameOf(text: string | null): string {
  const name = text?.trim() ?? '';
  if (name.length === 0) throw new RequestError(400, 'name is missing: /search?name=amsterdam');
  if (name.length > nameLengthMax) {
    throw new RequestError(400, `name is longer than ${nameLengthMax} characters`);
  }
  return name;
}

function numberOf(key: string, text: string | null, max: number): number {
  const value = text === null || text.trim() === '' ? Number.NaN : Number(text);
  if (Math.abs(value) <= max) return value;
  throw new RequestError(400, `${key} must be a number from -${max} to ${max}: /near?lat=52.37&lon=4.89`);
}

function limitOf(parameters: URLSearchParams): number {
  const text = parameters.get('limit');
  if (text === null) return 10;
  const limit = integerOf('limit', text);
  if (limit >= 1 && limit <= resultsMax) return limit;
  throw new RequestError(400, `limit must be from 1 to ${resultsMax}`);
}

function integerOf(key: string, text: string | undefined): number {
  if (text !== undefined && /^\d{1,15}$/.test(text)) return Number(text);
  throw new RequestError(400, `${key} must be a whole number`);
}

function answerError(response: ServerResponse, error: unknown): void {
  if (error instanceof RequestError) {
    answerJson(response, error.status, { error: error.message });
  } else if (error instanceof WriteRefused) {
    const primary = primaryNode();
    const todo = `send the same request to the app ${primary ? `on ${primary}` : `in ${primaryRegion}`}`;
    answerJson(response, 409, {
      error: `the database in ${region} is read-only here, visits are written on the primary: ${todo}`,
      region,
      primary,
    });
  } else {
    console.error(error);
    answerJson(response, 500, { error: 'the app failed; its log says why' });
  }
}

function answerJson(response: ServerResponse, status: number, body: object): void {
  if (response.headersSent) return;
  const headers = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' };
  response.writeHead(status, stopping.signal.aborted ? { ...headers, connection: 'close' } : headers);
  response.end(`${JSON.stringify(body)}\n`);
}

function exitIfStopping(error: unknown): never {
  if (stopping.signal.aborted) process.exit(0);
  throw error;
}
