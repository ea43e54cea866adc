import { execFileSync } from 'node:child_process';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { durable, events, express, isPrimary, position, primary, waitFor } from 'skein/client';

/** An app for a Node.js without SQLite: it has the `sqlite3` program write. */
const file = join(process.env.SKEIN_DIR, 'app.db');
const sql = (text) =>
  execFileSync('sqlite3', ['-batch', '-cmd', '.timeout 5000', file, text], { encoding: 'utf8' }).trim();
const middleware = express();
const seen = [];

async function hear() {
  for await (const event of events()) seen.push(event.type);
}
hear();

async function answer(request) {
  const url = new URL(request.url, 'http://app');
  switch (`${request.method} ${url.pathname}`) {
    case 'GET /notes':
      return { count: Number(sql('SELECT count(*) FROM note')), node: process.env.FLY_MACHINE_ID };
    case 'POST /notes':
      return { id: Number(sql("INSERT INTO note (text, node) VALUES ('by hand', 'x') RETURNING id")) };
    case 'GET /about': {
      const leader = await primary();
      return {
        isPrimary: isPrimary(),
        primary: leader.node,
        position: await position(),
        seen,
        version: process.version,
      };
    }
    case 'GET /durable':
      return { position: await durable() };
    case 'GET /wait':
      await waitFor(url.searchParams.get('position'), { timeoutMs: 2_000 });
      return {};
  }
  throw new Error('not found');
}

createServer((request, response) => {
  middleware(request, response, async () => {
    try {
      response.end(JSON.stringify(await answer(request)));
    } catch (error) {
      response.statusCode = 500;
      response.end(JSON.stringify({ code: error.code, message: error.message }));
    }
  });
}).listen(Number(process.env.PORT), '127.0.0.1');
