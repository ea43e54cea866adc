import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { temporaryDirectory } from '../base/test-support.ts';
import { TestNode } from '../database/test-support.ts';
import { ApiServer } from './api-server.ts';
import { ImportRoute } from './import-route.ts';
import { PrimaryReplication } from './primary-replication.ts';

type Answer = { readonly position?: string; readonly error?: { readonly code: string } };

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** A primary with the route, over HTTP. */
async function start(t: TestContext) {
  const node = new TestNode(t);
  const identity = { app: 'test', node: 'one', region: 'x', url: 'http://127.0.0.1:1' };
  const term = { epoch: 1, isValid: true, write: () => undefined };
  const inherited = { standby: 'one', safe: { epoch: 0, positions: {} } };
  const nothing = () => undefined;
  const replication = new PrimaryReplication(node.context, node.directory, identity, term, inherited, {
    transaction: nothing,
    primaryChanged: nothing,
    lagChanged: nothing,
    refused: nothing,
    heardOf: nothing,
  });
  t.after(() => replication.stop());
  await replication.start();
  const route = new ImportRoute(
    () => replication,
    () => node.directory,
  );
  const port = await freePort();
  const server = new ApiServer({
    listen: { host: '127.0.0.1', port },
    secret: undefined,
    routes: new Map([['POST /import', (call) => route.answer(call)]]),
    upgrades: new Map(),
    failed: (message, fields) => assert.fail(`${message} ${JSON.stringify(fields)}`),
  });
  await server.listen();
  t.after(() => server.close());
  const send = async (name: string, body: Uint8Array<ArrayBuffer>) => {
    const url = `http://127.0.0.1:${port}/import?name=${name}`;
    const response = await fetch(url, { method: 'POST', body, keepalive: false });
    return { status: response.status, body: (await response.json()) as Answer };
  };
  return { node, replication, send };
}

function aDatabase(t: TestContext, pageSize = 4096): Uint8Array<ArrayBuffer> {
  const path = join(temporaryDirectory(t), 'source.db');
  const source = new DatabaseSync(path);
  source.exec(`PRAGMA page_size=${pageSize}; CREATE TABLE t(v); INSERT INTO t VALUES ('imported')`);
  source.close();
  return Uint8Array.from(readFileSync(path));
}

function openApp(t: TestContext, path: string): DatabaseSync {
  const app = new DatabaseSync(path);
  t.after(() => app.isOpen && app.close());
  return app;
}

test('a new database is put in place whole, and nothing is left of what was received', async (t) => {
  const { node, replication, send } = await start(t);
  const answer = await send('a.db', aDatabase(t));
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  assert.deepEqual(
    replication.databases().map(({ name }) => name),
    ['a.db'],
  );
  assert.equal(openApp(t, node.file()).prepare('SELECT v FROM t').get()?.v, 'imported');
  assert.deepEqual(readdirSync(join(node.directory.hidden, 'tmp')), []);
});

test('an import into an empty file that a program has open reaches that program, and what it writes stays', async (t) => {
  const { node, replication, send } = await start(t);
  writeFileSync(node.file(), '');
  const app = openApp(t, node.file());
  assert.equal(app.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.n, 0);
  const { ino } = statSync(node.file());
  const answer = await send('a.db', aDatabase(t, 8192));
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  assert.equal(statSync(node.file()).ino, ino);
  assert.equal(app.prepare('SELECT v FROM t').get()?.v, 'imported');
  app.exec("INSERT INTO t VALUES ('later')");
  const other = openApp(t, node.file());
  assert.equal(other.prepare('SELECT count(*) AS n FROM t').get()?.n, 2);
  assert.equal(other.prepare('PRAGMA page_size').get()?.page_size, 8192);
  assert.equal((await replication.currentPosition('a.db')).txid > 1, true);
});

test('an import waits for a write transaction', async (t) => {
  const { node, send } = await start(t);
  const app = openApp(t, node.file());
  app.exec('PRAGMA journal_mode=WAL; CREATE TABLE old(v); BEGIN IMMEDIATE; INSERT INTO old VALUES (1)');
  const sent = send('a.db', aDatabase(t));
  assert.equal(await Promise.race([sent, delay(300, 'waits')]), 'waits');
  app.exec('COMMIT');
  const answer = await sent;
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  assert.equal(app.prepare('SELECT v FROM t').get()?.v, 'imported');
});

test('what is not a file is not replaced', async (t) => {
  const { node, send } = await start(t);
  const target = join(temporaryDirectory(t), 'target');
  writeFileSync(target, 'text');
  symlinkSync(target, node.file('link.db'));
  symlinkSync(join(target, 'nowhere'), node.file('dangling.db'));
  for (const name of ['link.db', 'dangling.db']) {
    const answer = await send(name, aDatabase(t));
    assert.deepEqual([answer.status, answer.body.error?.code], [400, 'USAGE']);
  }
  assert.equal(readFileSync(target, 'utf8'), 'text');
  assert.equal(existsSync(`${target}-wal`), false);
});
