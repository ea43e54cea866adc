import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { format } from 'node:util';
import express from 'express';
import { guard, guardHandle } from './guard.ts';
import type { SqliteHandle } from './guarded-handle.ts';
import type { LocalNode } from './local-node.ts';
import { ask, doorMark, listen, listenBehind, StandInNode } from './test-support.ts';

/** It brings no types. */
type BetterSqlite = new (
  path: string,
  options?: object,
) => Handle & { transaction(run: () => void): { immediate(): void } };
const Database = createRequire(import.meta.url)('better-sqlite3') as BetterSqlite;

type Handle = {
  exec(sql: string): unknown;
  prepare(sql: string): { run(...values: unknown[]): unknown; get(): unknown };
  close(): void;
};

const kinds: readonly { name: string; open(path: string): Handle }[] = [
  { name: 'node:sqlite', open: (path) => new DatabaseSync(path) },
  { name: 'better-sqlite3', open: (path) => new Database(path) },
];

async function opened(
  t: TestContext,
  open: (path: string) => Handle,
  isPrimary = true,
): Promise<{ node: StandInNode; local: LocalNode; database: Handle; path: string }> {
  const node = await StandInNode.start(t);
  node.isPrimary = isPrimary;
  const path = join(node.directory, 'app.db');
  const database = open(path);
  database.exec('PRAGMA journal_mode=WAL; CREATE TABLE note (text)');
  t.after(() => database.close());
  return { node, local: await node.local(), database, path };
}

const insert = "INSERT INTO note VALUES ('x')";

async function until(isSo: () => boolean): Promise<void> {
  for (let tries = 0; !isSo() && tries < 2_000; tries += 1)
    await new Promise((resolve) => setTimeout(resolve, 1));
  assert.ok(isSo());
}

function canWrite(database: Handle): boolean {
  try {
    database.exec(insert);
    return true;
  } catch (error) {
    assert.match(String(error), /readonly/);
    return false;
  }
}

test('guard() refuses what is no handle, and gives back what is', () => {
  assert.throws(() => guard({}), { code: 'USAGE' });
  const database = new DatabaseSync(':memory:');
  assert.equal(guard(database), database);
});

for (const { name, open } of kinds) {
  test(`${name}: writes are refused at once on a replica, and open when the node leads`, async (t) => {
    const { node, local, database, path } = await opened(t, open, false);
    guardHandle(local, database as SqliteHandle);
    const statement = database.prepare(insert);
    const beganMs = performance.now();
    assert.throws(() => statement.run(), /readonly/);
    assert.throws(() => database.exec('BEGIN IMMEDIATE'), /readonly/);
    assert.ok(performance.now() - beganMs < 500, 'no lock is waited for');
    assert.deepEqual({ ...(database.prepare('SELECT count(*) AS n FROM note').get() as object) }, { n: 0 });

    await until(() => node.listeners > 0);
    node.become(true, 'self');
    await until(() => canWrite(database));
    node.become(false, 'other');
    await until(() => !canWrite(database));
    const other = open(path);
    assert.ok(canWrite(other), 'another handle is not concerned');
    other.close();
  });

  test(`${name}: a writer that waits for the lock learns from the file that the lead has moved`, async (t) => {
    const { node, local, database, path } = await opened(t, open);
    guardHandle(local, database as SqliteHandle);
    // By the same library: two copies of SQLite in one process do not see each other's locks.
    const holder = open(path);
    t.after(() => holder.close());
    holder.exec('BEGIN IMMEDIATE');
    writeFileSync(join(node.directory, '.primary'), 'other\n');
    const beganMs = performance.now();
    assert.throws(() => database.prepare(insert).run(), /readonly/);
    assert.ok(performance.now() - beganMs < 1_000, 'long before the time-out');
  });

  test(`${name}: in a request the refusal has the primary answer, unless the app has dealt with it`, async (t) => {
    const { node, local, database } = await opened(t, open, false);
    guardHandle(local, database as SqliteHandle);
    const asked: string[] = [];
    const primary = createServer((request, response) => {
      asked.push(`${request.method} ${request.url} ${request.headers['skein-hop']}`);
      response.end('there');
    });
    node.tunnelPort = await listen(t, primary);
    const port = await listenBehind(t, local, async (request, response) => {
      await Promise.resolve();
      try {
        database.exec(insert);
        response.end('here: written');
      } catch (error) {
        response.statusCode = request.url === '/careful' ? 200 : 500;
        response.setHeader('x-of-the-app', 'yes');
        response.end(`here: ${String(error)}`);
      }
    });
    const replayed = await ask(port, { path: '/visit' });
    assert.deepEqual(
      [replayed.status, replayed.body, replayed.headers['x-of-the-app']],
      [200, 'there', undefined],
    );
    assert.match((await ask(port, { path: '/careful' })).body, /^here: .*readonly/);
    assert.deepEqual(asked, ['GET /visit 1;primary']);
    const byDoor = await ask(port, { path: '/visit', headers: { 'skein-door': doorMark } });
    assert.equal(byDoor.headers['skein-replay'], 'primary', 'the door does it, where there is one');
  });

  test(`${name}: what a framework prints of a refusal that the primary makes good says so, and has no stack`, async (t) => {
    const { node, local, database } = await opened(t, open, false);
    guardHandle(local, database as SqliteHandle);
    const primary = createServer((_request, response) => void response.end('there'));
    node.tunnelPort = await listen(t, primary);
    const app = express().get('/visit', () => void database.exec(insert));
    const port = await listenBehind(t, local, app);
    const printed = t.mock.method(console, 'error', () => undefined);
    assert.equal((await ask(port, { path: '/visit' })).body, 'there');
    assert.equal(printed.mock.callCount(), 1);
    const text = format(...(printed.mock.calls[0]?.arguments ?? []));
    assert.match(text, /^\[?\w+: .*readonly.* \(Skein has the primary answer this request, if it fails\)/);
    assert.doesNotMatch(text, /^ +at /m);
    // Outside of a request, somebody has to see to it.
    assert.throws(
      () => database.exec(insert),
      (error: Error) => /\n {4}at /.test(error.stack ?? ''),
    );
  });

  test(`${name}: a refusal says that the primary answers only where the request is to be had for that`, async (t) => {
    const { node, local, database } = await opened(t, open);
    guardHandle(local, database as SqliteHandle);
    const stacks: string[] = [];
    const app = async (request: IncomingMessage, response: ServerResponse) => {
      for await (const _ of request);
      node.become(false, 'other');
      await until(() => !local.role.isPrimary);
      try {
        database.exec(insert);
      } catch (error) {
        stacks.push((error as Error).stack ?? '');
      }
      response.writeHead(500).end('here');
    };
    const port = await listenBehind(t, local, app, { replayBytesMax: 3 });
    node.tunnelPort = await listen(
      t,
      createServer((_request, response) => void response.end('there')),
    );
    for (const body of ['abc', 'abcd']) {
      const isThere = (await ask(port, { method: 'POST', body })).body === 'there';
      assert.equal(isThere, body.length <= 3);
      node.become(true, 'self');
      await until(() => local.role.isPrimary);
    }
    assert.deepEqual(
      stacks.map((stack) => [/has the primary answer/.test(stack), /^ +at /m.test(stack)]),
      [
        [true, false],
        [false, true],
      ],
    );
  });

  test(`${name}: a read that writes on the primary is held and sets the cookie`, async (t) => {
    const { node, local, database } = await opened(t, open);
    guardHandle(local, database as SqliteHandle);
    const port = await listenBehind(t, local, (request, response) => {
      const find = database.prepare('SELECT count(*) FROM note');
      // The method is looked up before it is known that anything is written.
      if (request.url === '/visit') response.end(JSON.stringify(database.prepare(insert).run()));
      else response.end(JSON.stringify(find.get()));
    });
    assert.equal(
      (await ask(port, { path: '/visit' })).headers['skein-position'],
      'app%2Edb:0000000000000005',
    );
    assert.equal((await ask(port)).headers['skein-position'], undefined);
    assert.equal(node.waits.length, 2);
  });
}

test('a connection that is closed and opened again is guarded as before', async (t) => {
  const { local, database } = await opened(t, (path) => new DatabaseSync(path), false);
  guardHandle(local, database as SqliteHandle);
  database.close();
  (database as unknown as DatabaseSync).open();
  assert.ok(!canWrite(database));
});

test("better-sqlite3's own transactions wait for the lock as they did, and are not run twice", async (t) => {
  const { local, database, path } = await opened(t, (file) => new Database(file));
  guardHandle(local, database as SqliteHandle);
  database.exec('PRAGMA busy_timeout = 300');
  const holder = new Database(path);
  holder.exec('BEGIN IMMEDIATE');
  let runs = 0;
  const write = (database as InstanceType<BetterSqlite>).transaction(() => {
    runs += 1;
    database.exec(insert);
  });
  const beganMs = performance.now();
  assert.throws(() => write.immediate(), { code: 'SQLITE_BUSY' });
  assert.ok(performance.now() - beganMs > 280);
  assert.equal(runs, 0);
  holder.exec('ROLLBACK');
  holder.close();
  write.immediate();
  assert.equal(runs, 1);
});
