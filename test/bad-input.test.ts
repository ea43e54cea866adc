import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { assertInStep, sqlite3 } from './support/checks.ts';
import { createLedger } from './support/ledger.ts';
import { TestCluster } from './support/test-cluster.ts';
import { endOf, type TestNode } from './support/test-node.ts';
import { skipWithout } from './tools.ts';

const skip = skipWithout('sqlite3');
const isRoot = process.getuid?.() === 0;
const nobody = 65_534;
const secret = 'a-secret-of-the-test-nodes';

/** A single node that is not started yet. */
async function aNode(
  t: TestContext,
  options: Parameters<typeof TestCluster.create>[1] = {},
): Promise<TestNode> {
  const cluster = await TestCluster.create(t, { replicas: 0, ...options });
  mkdirSync(cluster.primary.databases, { recursive: true });
  return cluster.primary;
}

/** Starts a node that has to refuse: its exit code, and the one line that it has to say. */
async function refuses(
  node: TestNode,
  code: 1 | 2,
  line: RegExp,
  environment: Record<string, string> = {},
): Promise<void> {
  const from = node.lines.length;
  node.launch(environment);
  const ended = await endOf(node);
  const said = node.lines.slice(from).filter((text) => text.startsWith('skein: '));
  assert.deepEqual({ code: ended.code, signal: ended.signal }, { code, signal: null }, node.tail());
  assert.equal(said.length, 1, `one message, not ${JSON.stringify(said)}`);
  assert.match(said[0], line);
  assert.doesNotMatch(node.lines.join('\n'), /\n\s+at |node:internal/, 'no stack trace');
}

function names(directory: string): string[] {
  return readdirSync(directory).sort();
}

test('a port that is in use is said, with exit code 1, and nothing is made', { skip }, async (t) => {
  const node = await aNode(t);
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  await refuses(node, 1, /listens on .*\[PORT_IN_USE\]/, { SKEIN_NODE_LISTEN: `127.0.0.1:${port}` });
  assert.deepEqual(names(node.databases), []);
});

test('a data directory that a running node owns is refused, and that node goes on', { skip }, async (t) => {
  const cluster = await TestCluster.create(t, { replicas: 1 });
  await cluster.primary.start();
  createLedger(cluster.primary.path('app.db'));
  await refuses(cluster.replica, 1, /belongs to a node that is running.*\[DIRECTORY_IN_USE\]/, {
    SKEIN_DATABASE_DIR: cluster.primary.databases,
  });
  await cluster.replica.start();
  await assertInStep(cluster);
});

for (const [what, bytes, line] of [
  [
    'a file that is no database',
    Buffer.from('This is a text, not a database.\n'.repeat(50)),
    /not an SQLite database.*\[DATABASE_NOT_SQLITE\]/,
  ],
  ['an encrypted database', randomBytes(8192), /looks encrypted.*\[DATABASE_ENCRYPTED\]/],
] as const) {
  test(`${what} stops a start with exit code 1, and is not touched`, { skip }, async (t) => {
    const node = await aNode(t);
    writeFileSync(node.path('app.db'), bytes);
    await refuses(node, 1, line);
    assert.ok(readFileSync(node.path('app.db')).equals(bytes), 'unchanged');
    assert.deepEqual(
      names(node.databases).filter((name) => !name.startsWith('.')),
      ['app.db'],
    );
  });

  test(`${what} that appears later is left out and told, and all others go on`, { skip }, async (t) => {
    const cluster = await TestCluster.start(t);
    createLedger(cluster.primary.path('app.db'));
    writeFileSync(cluster.primary.path('wrong.db'), bytes);
    await cluster.primary.line(/this file is not replicated/);
    assert.match((await cluster.primary.state()).refused['wrong.db'], /wrong\.db/);
    assert.equal((await cluster.primary.fetch('/health')).status, 503);
    assert.ok(readFileSync(cluster.primary.path('wrong.db')).equals(bytes), 'unchanged');
    assert.ok(!existsSync(cluster.replica.path('wrong.db')));
    assert.equal(
      await sqlite3(cluster.primary.path('app.db'), 'UPDATE counter SET value = 1 RETURNING value'),
      '1',
    );
  });
}

test('a damaged header of a database is said, with exit code 1', { skip }, async (t) => {
  const node = await aNode(t);
  const bytes = Buffer.alloc(4096);
  bytes.write('SQLite format 3\0', 'latin1');
  bytes.fill(0xee, 16);
  writeFileSync(node.path('app.db'), bytes);
  await refuses(node, 1, /app\.db cannot be read as an SQLite database.*\[DATABASE_NOT_SQLITE\]/);
  assert.ok(readFileSync(node.path('app.db')).equals(bytes), 'unchanged');
});

test('a directory that cannot be written is said, with exit code 1', {
  skip: isRoot ? skip : 'running as another user needs root',
}, async (t) => {
  const through = ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups', '--'];
  const cluster = await TestCluster.create(t, { replicas: 0, nodes: { primary: { through } } });
  const node = cluster.primary;
  mkdirSync(node.databases);
  chmodSync(cluster.directory, 0o755);
  chmodSync(node.databases, 0o555);
  await refuses(node, 1, /cannot be written \(EACCES\).*\[DIRECTORY_NOT_WRITABLE\]/);
  assert.deepEqual(names(node.databases), []);
});

test('a database that cannot be written is said, with exit code 1', {
  skip: isRoot ? skip : 'running as another user needs root',
}, async (t) => {
  const through = ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups', '--'];
  const cluster = await TestCluster.create(t, { replicas: 0, nodes: { primary: { through } } });
  const node = cluster.primary;
  mkdirSync(node.databases);
  chmodSync(cluster.directory, 0o755);
  await sqlite3(node.path('app.db'), 'CREATE TABLE t (x)');
  chmodSync(node.path('app.db'), 0o444);
  chownSync(node.databases, nobody, nobody);
  const before = readFileSync(node.path('app.db'));
  await refuses(node, 1, /app\.db cannot be written.*\[DIRECTORY_NOT_WRITABLE\]/);
  assert.ok(readFileSync(node.path('app.db')).equals(before), 'unchanged');
});

test('a configuration that is wrong is said, with exit code 2, before anything is made', {
  skip,
}, async (t) => {
  const node = await aNode(t);
  await refuses(node, 2, /SKEIN_DATABSE_DIR.*\[CONFIG_UNKNOWN_KEY\]/, { SKEIN_DATABSE_DIR: 'x' });
  await refuses(node, 2, /\[SECRET_REQUIRED\]/, { SKEIN_NODE_LISTEN: '0.0.0.0:20999' });
  await refuses(node, 2, /LOG_BYTES_MAX.*\[CONFIG_INVALID\]/, { SKEIN_LOG_BYTES_MAX: 'much' });
  assert.deepEqual(names(node.databases), []);
});

test('a replica with the wrong secret is refused at its start, with exit code 1, and gets nothing', {
  skip,
}, async (t) => {
  const cluster = await TestCluster.create(t, { environment: { SKEIN_NODE_SECRET: secret } });
  await cluster.primary.start();
  createLedger(cluster.primary.path('app.db'));
  const wrong = { SKEIN_NODE_SECRET: 'another-secret-altogether' };
  await refuses(cluster.replica, 1, /refuses this node's secret.*\[SECRET_WRONG\]/, wrong);
  assert.ok(!existsSync(cluster.replica.path('app.db')));
  for (const path of ['/status', '/events', '/export?name=app.db', '/metrics', '/nothing']) {
    for (const authorization of ['', 'Bearer another-secret-altogether', `Basic ${secret}`]) {
      const answer = await cluster.primary.fetch(path, { headers: { authorization } });
      assert.equal(answer.status, 401, `${path} with "${authorization}"`);
    }
  }
  for (const node of cluster.nodes) assert.doesNotMatch(node.lines.join('\n'), /a-secret-of|another-secret/);
  await cluster.replica.start();
  await assertInStep(cluster);
});

test('a replica of another app is refused at its start, with exit code 1, and gets nothing', {
  skip,
}, async (t) => {
  const cluster = await TestCluster.create(t);
  await cluster.primary.start();
  createLedger(cluster.primary.path('app.db'));
  await refuses(cluster.replica, 1, /another|runs app "other".*\[APP_MISMATCH\]/, { SKEIN_APP: 'other' });
  assert.ok(!existsSync(cluster.replica.path('app.db')));
  await refuses(cluster.replica, 1, /Two nodes are called "primary".*\[APP_MISMATCH\]/, {
    SKEIN_NODE_NAME: 'primary',
  });
  await cluster.replica.start();
  await assertInStep(cluster);
});

test('a primary of another protocol version is refused at the start, with exit code 1', {
  skip,
}, async (t) => {
  const node = await aNode(t);
  const fake = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(fake, 'listening');
  t.after(() => fake.close());
  fake.on('connection', (socket) => {
    socket.on('message', () => {
      socket.send(
        JSON.stringify({
          type: 'refuse',
          code: 'PROTOCOL_MISMATCH',
          message:
            'Node x speaks version 1, this primary version 9. Install the same release of Skein on both.',
        }),
      );
      socket.close();
    });
  });
  const { port } = fake.address() as AddressInfo;
  await refuses(node, 1, /version 9.*\[PROTOCOL_MISMATCH\]/, {
    SKEIN_LEASE_PRIMARY: `http://127.0.0.1:${port}`,
  });
});

test('a replica of another protocol version is told so by the primary', { skip }, async (t) => {
  const node = await aNode(t);
  await node.start();
  const socket = new WebSocket(`${node.url.replace('http', 'ws')}/stream`);
  t.after(() => socket.terminate());
  await once(socket, 'open');
  socket.send(
    JSON.stringify({
      type: 'hello',
      protocol: 99,
      app: 'test',
      node: 'new',
      region: 'x',
      candidate: true,
      epoch: 1,
      databases: {},
      distrusted: [],
    }),
  );
  const [data] = await once(socket, 'message');
  const answer = JSON.parse(String(data));
  assert.equal(answer.type, 'refuse');
  assert.equal(answer.code, 'PROTOCOL_MISMATCH');
  assert.match(answer.message, /version 99/);
});

test('an import of garbage is refused, and the database and its position stay as they are', {
  skip,
}, async (t) => {
  const cluster = await TestCluster.start(t);
  createLedger(cluster.primary.path('app.db'));
  const before = await cluster.waitInStep();
  const sound = readFileSync(cluster.primary.path('app.db'));
  const damaged = Buffer.from(sound);
  damaged.fill(0xaa, 4096, Math.min(damaged.length, 16_384));
  for (const [body, line] of [
    ['', /is empty/],
    ['garbage', /is not an SQLite database/],
    [randomBytes(8192), /looks encrypted/],
    [damaged, /is damaged|not an SQLite database|malformed/],
    [sound.subarray(0, 5000), /is damaged|malformed/],
  ] as const) {
    for (const name of ['app.db', 'fresh.db']) {
      const answer = await cluster.primary.fetch(`/import?name=${name}`, { method: 'POST', body });
      const { error } = (await answer.json()) as { error: { code: string; message: string } };
      assert.deepEqual([answer.status, error.code], [400, 'IMPORT_INVALID'], `${line} as ${name}`);
      assert.match(error.message, line);
    }
  }
  for (const name of ['../app.db', 'app.txt', '.hidden.db', '']) {
    const answer = await cluster.primary.fetch(`/import?name=${encodeURIComponent(name)}`, {
      method: 'POST',
      body: sound,
    });
    assert.equal(answer.status, 400, name);
  }
  const onReplica = await cluster.replica.fetch('/import?name=app.db', { method: 'POST', body: sound });
  assert.equal(onReplica.status, 421);
  assert.deepEqual(await cluster.waitInStep(), before);
  assert.deepEqual(names(join(cluster.primary.databases, '.skein/tmp')), [], 'nothing is left of them');
  assert.ok(statSync(cluster.primary.path('app.db')).size > 0);
  await assertInStep(cluster);
});
