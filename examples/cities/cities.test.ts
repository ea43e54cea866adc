import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

const sydney = 2147714;
const amsterdam = 2759794;

interface Answer {
  status: number;
  region?: string;
  tookMs?: number;
  error?: string;
  results: { id: number; name: string; km: number }[];
  place: { id: number; name: string; visits: number };
  visit: { id: number; placeId: number; region: string };
  countries: { country: string; visits: number }[];
}

const directory = mkdtempSync(join(tmpdir(), 'cities-'));
const children: ChildProcess[] = [];
let origin = '';

function start(program: string, environment: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn(process.execPath, [join(import.meta.dirname, program)], {
    env: { ...process.env, SKEIN_DIR: directory, FLY_REGION: 'syd', PRIMARY_REGION: 'ams', ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  return child;
}

async function call(path: string, method = 'GET'): Promise<Answer> {
  const response = await fetch(origin + path, { method });
  return { ...((await response.json()) as Answer), status: response.status };
}

before(async () => {
  const port = await freePort();
  origin = `http://127.0.0.1:${port}`;
  // Web and worker come first, as on a replica whose file is still on its way.
  const web = start('web.ts', { PORT: String(port) });
  const worker = start('worker.ts');
  const ready = Promise.all([saying(web, 'listening on port'), saying(worker, 'counting visits')]);
  const load = start('load.ts');
  load.stdout?.resume();
  assert.deepEqual(await once(load, 'exit'), [0, null]);
  await ready;
});

after(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(directory, { recursive: true });
});

test('the release command does nothing the second time', async () => {
  const load = start('load.ts');
  await saying(load, 'already loaded');
  const database = new DatabaseSync(join(directory, 'cities.db'));
  assert.equal(database.prepare('SELECT count(*) AS n FROM places').get()?.n, 135_233);
  assert.equal(database.prepare('PRAGMA integrity_check').get()?.integrity_check, 'ok');
  database.close();
});

test('the page is served with its own style and script', async () => {
  const response = await fetch(origin);
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type') ?? '', /text\/html/);
  const page = await response.text();
  assert.match(page, /<title>Cities<\/title>/);
  assert.doesNotMatch(page, /(src|href)="https?:/);
});

test('a search finds names by the beginnings of their words, without accents, the largest first', async () => {
  const found = await call('/search?name=sao+pau&limit=3');
  assert.equal(found.status, 200);
  assert.equal(found.region, 'syd');
  assert.ok((found.tookMs ?? -1) >= 0);
  assert.equal(found.results[0]?.name, 'São Paulo');
  assert.equal(found.results.length, 3);
  assert.deepEqual((await call('/search?name=%22%29+OR+*')).status, 200);
  assert.deepEqual((await call('/search?name=%22')).results, []);
});

test('the nearest places come in order of distance, also across the 180th meridian and at a pole', async () => {
  const near = await call('/near?lat=52.37&lon=4.89&limit=5');
  assert.equal(near.results[0]?.id, amsterdam);
  const distances = near.results.map(({ km }) => km);
  assert.deepEqual(
    distances,
    distances.toSorted((a, b) => a - b),
  );
  const [east, west] = [await call('/near?lat=-16.9&lon=180'), await call('/near?lat=-16.9&lon=-180')];
  assert.deepEqual(east.results, west.results);
  assert.equal((await call('/near?lat=90&lon=0&limit=1')).results[0]?.name, 'Longyearbyen');
});

test('the nearest places are the ones that a look at every place finds', async () => {
  const database = new DatabaseSync(join(directory, 'cities.db'));
  const all = database.prepare(
    `SELECT id FROM places ORDER BY acos(min(1, sin(radians(latitude)) * sin(radians(:lat))
       + cos(radians(latitude)) * cos(radians(:lat)) * cos(radians(longitude - :lon)))) LIMIT 10`,
  );
  for (const [lat, lon] of [
    [-40, -120],
    [64, 179.5],
    [-89, 10],
    [10, 20],
  ] as const) {
    const expected = all.all({ lat, lon }).map(({ id }) => id);
    const { results } = await call(`/near?lat=${lat}&lon=${lon}`);
    assert.deepEqual(
      results.map(({ id }) => id),
      expected,
      `at ${lat}, ${lon}`,
    );
  }
  database.close();
});

test('a visit is recorded, seen at once, and counted for its country by the worker', {
  timeout: 10_000,
}, async () => {
  const written = await call(`/places/${sydney}/visits`, 'POST');
  assert.equal(written.status, 201);
  assert.deepEqual([written.visit.placeId, written.visit.region], [sydney, 'syd']);
  assert.equal((await call(`/places/${sydney}`)).place.visits, 1);
  await call(`/places/${sydney}/visits`, 'POST');
  await call(`/places/${amsterdam}/visits`, 'POST');
  const expected = [
    { country: 'AU', visits: 2 },
    { country: 'NL', visits: 1 },
  ];
  for (;;) {
    const { countries } = await call('/countries');
    if (countries.length === 2) {
      assert.deepEqual(countries, expected);
      break;
    }
    await delay(50);
  }
});

test('a visit where the write lock is never free is refused with the way out, and reads go on meanwhile', async () => {
  const database = new DatabaseSync(join(directory, 'cities.db'));
  database.exec('BEGIN IMMEDIATE');
  const refused = call(`/places/${sydney}/visits`, 'POST');
  const read = await Promise.race([call(`/places/${sydney}`), refused]);
  assert.equal(read.status, 200);
  const answer = await refused;
  assert.equal(answer.status, 409);
  assert.match(answer.error ?? '', /send the same request to the app in ams/);
  writeFileSync(join(directory, '.primary'), 'ord-1\n');
  assert.match(
    (await call(`/places/${sydney}/visits`, 'POST')).error ?? '',
    /send the same request to the app on ord-1/,
  );
  database.exec('ROLLBACK');
  database.close();
  assert.equal((await call(`/places/${sydney}/visits`, 'POST')).status, 201);
});

test('what cannot be answered gets a 4xx with one line that says why', async () => {
  const cases: [number, string, string?][] = [
    [400, '/search'],
    [400, `/search?name=${'x'.repeat(101)}`],
    [400, '/search?name=a&limit=0'],
    [400, '/search?name=a&limit=101'],
    [400, '/near?lat=91&lon=0'],
    [400, '/near?lat=&lon=0'],
    [400, '/near?lat=1'],
    [400, '/places/abc'],
    [404, '/places/1'],
    [404, '/places/1/visits', 'POST'],
    [404, '/nowhere'],
    [405, `/places/${sydney}/visits`],
    [405, '/countries', 'POST'],
  ];
  for (const [status, path, method] of cases) {
    const answer = await call(path, method);
    assert.equal(answer.status, status, path);
    assert.ok(answer.error, path);
  }
  assert.equal((await call('/health')).status, 200);
});

test('SIGINT and SIGTERM end web and worker with exit code 0', async () => {
  const [web, worker] = children;
  assert.ok(web && worker);
  const exits = Promise.all([once(web, 'exit'), once(worker, 'exit')]);
  web.kill('SIGINT');
  worker.kill('SIGTERM');
  assert.deepEqual(await exits, [
    [0, null],
    [0, null],
  ]);
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address && typeof address === 'object');
  server.close();
  await once(server, 'close');
  return address.port;
}

/** Resolves when the process has printed the text; goes on reading its output after that. */
function saying(child: ChildProcess, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-4096);
      if (output.includes(text)) resolve();
    });
    child.once('exit', (code) => reject(new Error(`ended with code ${code}, after: ${output}`)));
  });
}
