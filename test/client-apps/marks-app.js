import { createServer } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { json } from 'node:stream/consumers';
import * as skein from 'skein/client';

/** Says and stores what `test/faults/fault-app.py` does, with the library in place of a door; `/own` writes past it. */
const middleware = skein.express({ readWaitMs: 1_000, primaryWaitMs: 3_000, passthrough: ['/own'] });
let opened;

function database() {
  opened ??= skein.guard(new DatabaseSync(join(process.env.SKEIN_DIR, 'app.db')));
  return opened;
}

function write(value) {
  database().exec('PRAGMA journal_mode = WAL');
  database().exec('CREATE TABLE IF NOT EXISTS mark (id INTEGER PRIMARY KEY AUTOINCREMENT, value TEXT)');
  const row = database().prepare('INSERT INTO mark (value) VALUES (?)').run(value);
  return { id: Number(row.lastInsertRowid) };
}

function read(ids) {
  const find = database().prepare('SELECT value FROM mark WHERE id = ?');
  return { known: ids.map((id) => find.get(Number(id))?.value ?? null) };
}

async function answer(request, response) {
  try {
    const { searchParams } = new URL(request.url, 'http://app');
    const isRead = request.method === 'GET';
    const body = isRead ? read(searchParams.getAll('id')) : write((await json(request)).value);
    response.end(JSON.stringify(body));
  } catch (error) {
    response.writeHead(503).end(JSON.stringify({ error: error.message }));
  }
}

const server = createServer((request, response) =>
  middleware(request, response, () => void answer(request, response)),
);
server.listen(Number(process.env.PORT), '127.0.0.1');
