import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { watch } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const skein = fileURLToPath(new URL('../bin/skein', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'skein-verbs-'));
const secret = 'a-secret-of-enough-length';
const bytes = Buffer.alloc(3 * 1024 ** 2, 'SQLite format 3\0 and more ');
const tx = {
  type: 'tx',
  db: 'app.db',
  data: {
    txID: '00000000000000aa',
    postApplyChecksum: 'c000000000000001',
    pageSize: 4096,
    commit: 12,
    timestamp: '2026-01-02T03:04:05.678Z',
  },
};
const nodeStatus = {
  node: 'ams-1',
  pid: 7,
  app: 'cities',
  region: 'ams',
  role: 'primary',
  primary: { node: 'ams-1', url: 'http://10.0.0.5:20202' },
  epoch: 3,
  databases: { 'app.db': { txid: '00000000000000aa', checksum: 'c000000000000001', lagMs: 0 } },
  replicas: [
    {
      node: 'ord-1',
      region: 'ord',
      connected: true,
      acknowledged: { 'app.db': '00000000000000a9/c000000000000002' },
    },
    { node: 'syd-1\u001b[2J', region: 'syd', connected: false, acknowledged: {} },
  ],
  processes: [{ name: 'web', on: 'all', state: 'running', pid: 8, restarts: 0 }],
};

let imported = Buffer.alloc(0);
let status: unknown = nodeStatus;

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://node');
  const refuse = (code: number, error: { code: string; message: string }): void => {
    response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify({ error }));
  };
  if (request.headers.authorization !== `Bearer ${secret}`) {
    return refuse(401, {
      code: 'SECRET_WRONG',
      message: 'The secret is wrong. Give the secret of the cluster.',
    });
  }
  const name = searchParams.get('name');
  const route = `${request.method} ${pathname}`;
  if (route === 'GET /status') response.end(JSON.stringify(status));
  else if (route === 'GET /events') {
    response.write(`{"type":"init","data":{"isPrimary":false,"hostname":"ams-1"}}\n{"type":"tx","db`);
    setImmediate(() => response.end(`${JSON.stringify(tx).slice(16)}\n{"type":"new","x":1}\n`));
  } else if (name === 'none.db') {
    refuse(404, {
      code: 'DATABASE_NOT_FOUND',
      message: 'There is no database none.db. `skein status` lists them.',
    });
  } else if (route === 'GET /export' && name === 'cut.db') {
    response.writeHead(200, { 'content-length': bytes.length });
    response.write(bytes.subarray(0, 1000), () => response.destroy());
  } else if (route === 'GET /export' && name === 'slow.db') response.write(bytes);
  else if (route === 'GET /export') response.end(bytes);
  else if (route === 'POST /import') {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    imported = Buffer.concat(parts);
    if (name === 'bad.db') refuse(400, { code: 'IMPORT_INVALID', message: 'That is no database.' });
    else response.end('{}');
  } else response.writeHead(500).end('oops');
}

const server = createServer((request, response) => void answer(request, response));
let url = '';

before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

after(() => {
  server.close();
  server.closeAllConnections();
  rmSync(directory, { recursive: true });
});

function start(argv: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(skein, argv, {
    cwd: directory,
    env: { PATH: process.env.PATH, SKEIN_API: url, SKEIN_NODE_SECRET: secret, ...env },
    timeout: 20_000,
  });
}

async function run(argv: readonly string[], env: NodeJS.ProcessEnv = {}, input?: Buffer) {
  const child = start(argv, env);
  const stdout: Buffer[] = [];
  let stderr = '';
  child.stdout?.on('data', (part: Buffer) => stdout.push(part));
  child.stderr?.on('data', (part: Buffer) => {
    stderr += part;
  });
  child.stdin?.end(input);
  const [code] = await once(child, 'close');
  return { bytes: Buffer.concat(stdout), stdout: Buffer.concat(stdout).toString(), stderr, code };
}

test('status shows the node, its databases, its replicas and its processes in aligned tables', async () => {
  const { stdout, stderr, code } = await run(['status']);
  assert.equal(
    stdout,
    `node   app     region  role     primary                        epoch  pid
ams-1  cities  ams     primary  ams-1 (http://10.0.0.5:20202)  3      7

database  txid              checksum          lag
app.db    00000000000000aa  c000000000000001  0 ms

replica  region  state      database  acknowledged
ord-1    ord     connected  app.db    00000000000000a9/c000000000000002
syd-1    syd     away       -         -

process  on   state    pid  restarts
web      all  running  8    0
`,
  );
  assert.deepEqual([stderr, code], ['', 0]);
});

test('status --json is the answer of the node', async () => {
  const { stdout, code } = await run(['status', '--json', '--url', url], { SKEIN_API: 'http://127.0.0.1:1' });
  assert.deepEqual(JSON.parse(stdout), nodeStatus);
  assert.equal(code, 0);
});

test('a wrong secret is reported in the words of the node', async () => {
  const { stderr, code } = await run(['status'], { SKEIN_NODE_SECRET: 'another-secret-0123' });
  assert.equal(stderr, 'skein: The secret is wrong. Give the secret of the cluster. [SECRET_WRONG]\n');
  assert.equal(code, 1);
});

test('a node that is not there is named, with what to do', async () => {
  const { stderr, code } = await run(['status', '--url=http://127.0.0.1:1']);
  const advice = 'Start one with `skein run`, or name another by --url or SKEIN_API.';
  assert.equal(stderr, `skein: No node answers at http://127.0.0.1:1. ${advice} [NODE_UNREACHABLE]\n`);
  assert.equal(code, 1);
});

test('an address that is no URL is refused', async () => {
  const { stderr, code } = await run(['status', '--url=nowhere']);
  const allowed = 'an http or https URL, such as http://10.0.0.5:20202';
  assert.equal(stderr, `skein: --url is "nowhere"; allowed: ${allowed}. [USAGE]\n`);
  assert.equal(code, 2);
});

test('an answer of something that is no Skein node is refused', async () => {
  status = { hello: 'world' };
  const { stderr, code } = await run(['status']).finally(() => {
    status = nodeStatus;
  });
  assert.match(stderr, /answered \/status in a form that this Skein does not know.*\[PROTOCOL_INVALID\]\n$/);
  assert.equal(code, 1);
});

test('export writes the whole file and puts it in the place of an older one', async () => {
  const file = join(directory, 'copy.db');
  writeFileSync(file, 'old');
  const { stderr, code } = await run(['export', '--name', 'app.db', 'copy.db']);
  assert.deepEqual([stderr, code], ['app.db: 3.0 MiB in copy.db\n', 0]);
  assert.ok(readFileSync(file).equals(bytes));
  assert.ok(!existsSync(`${file}.part`));
});

test('export to a pipe gives the bytes and nothing else', async () => {
  const found = await run(['export', '--name=app.db', '-']);
  assert.ok(found.bytes.equals(bytes));
  assert.deepEqual([found.stderr, found.code], ['', 0]);
});

test('export to a pipe whose reader is slow ends when all of it is in the pipe', async () => {
  const child = start(['export', '--name=app.db', '-']);
  // More than a pipe and both its ends hold: without a reader, it cannot end. A node would have given up by then.
  await Promise.race([once(child, 'exit'), delay(4_000)]);
  assert.equal(child.exitCode, null);
  const parts: Buffer[] = [];
  child.stdout?.on('data', (part: Buffer) => parts.push(part));
  const [code] = await once(child, 'close');
  assert.equal(code, 0);
  assert.ok(Buffer.concat(parts).equals(bytes));
});

test('an export that is cut off leaves the older file as it was, and no part', async () => {
  writeFileSync(join(directory, 'kept.db'), 'old');
  const { stderr, code } = await run(['export', '--name=cut.db', 'kept.db']);
  assert.match(stderr, /^skein: The connection to http:\S+ failed: .*\[NODE_UNREACHABLE\]\n$/);
  assert.equal(code, 1);
  assert.equal(readFileSync(join(directory, 'kept.db'), 'utf8'), 'old');
  assert.deepEqual(
    readdirSync(directory).filter((name) => name.endsWith('.part')),
    [],
  );
});

test('an export that is interrupted leaves nothing', async () => {
  const part = join(directory, 'stopped.db.part');
  const changes = watch(directory);
  const child = start(['export', '--name=slow.db', 'stopped.db']);
  for await (const { filename } of changes) if (filename === 'stopped.db.part') break;
  // The signal goes to the process that was started: bin/skein has become the program.
  child.kill('SIGINT');
  const [code] = await once(child, 'close');
  assert.equal(code, 130);
  assert.ok(!existsSync(part) && !existsSync(join(directory, 'stopped.db')));
});

test('export refuses a database in use, a directory that is not there, and what the node does not have', async () => {
  writeFileSync(join(directory, 'live.db-wal'), 'x');
  const live = await run(['export', '--name=app.db', 'live.db']);
  assert.match(live.stderr, /live\.db-wal is there: .* Export to another file\. \[USAGE\]\n$/);
  const nowhere = await run(['export', '--name=app.db', 'no/such/copy.db']);
  assert.match(nowhere.stderr, /^skein: The file cannot be written: ENOENT.*\[USAGE\]\n$/);
  const none = await run(['export', '--name=none.db', 'none.db']);
  assert.equal(
    none.stderr,
    'skein: There is no database none.db. `skein status` lists them. [DATABASE_NOT_FOUND]\n',
  );
  assert.deepEqual([live.code, nowhere.code, none.code], [2, 2, 1]);
});

test('import sends a file, or standard input, byte for byte', async () => {
  writeFileSync(join(directory, 'source.db'), bytes);
  const { stderr, code } = await run(['import', '--name', 'app.db', 'source.db']);
  assert.deepEqual([stderr, code], ['app.db: 3.0 MiB imported\n', 0]);
  assert.ok(imported.equals(bytes));
  const piped = await run(['import', '--name', 'app.db', '-'], {}, bytes.subarray(0, 100_000));
  assert.equal(piped.code, 0);
  assert.ok(imported.equals(bytes.subarray(0, 100_000)));
});

test('import says why the node refused, and refuses by itself what cannot be whole', async () => {
  writeFileSync(join(directory, 'whole.db'), bytes);
  const bad = await run(['import', '--name=bad.db', 'whole.db']);
  assert.equal(bad.stderr, 'skein: That is no database. [IMPORT_INVALID]\n');
  const missing = await run(['import', '--name=app.db', 'missing.db']);
  assert.match(missing.stderr, /missing\.db cannot be read: ENOENT.*\[IMPORT_INVALID\]\n$/);
  const folder = await run(['import', '--name=app.db', '.']);
  assert.match(folder.stderr, /is no file\. Name a database file\. \[IMPORT_INVALID\]\n$/);
  writeFileSync(join(directory, 'whole.db-wal'), 'x');
  const live = await run(['import', '--name=app.db', 'whole.db']);
  assert.match(
    live.stderr,
    /whole\.db-wal holds changes that are not in .*wal_checkpoint.*\[IMPORT_INVALID\]\n$/,
  );
  assert.deepEqual([bad.code, missing.code, folder.code, live.code], [1, 1, 1, 1]);
});

test('events shows each event on a line, and says that the stream ended', async () => {
  const { stdout, stderr, code } = await run(['events']);
  assert.equal(
    stdout,
    `now: the primary is ams-1
2026-01-02T03:04:05.678Z  app.db  00000000000000aa/c000000000000001  12 pages of 4096 bytes
{"type":"new","x":1}
`,
  );
  assert.match(stderr, /ended the stream.*\[NODE_UNREACHABLE\]\n$/);
  assert.equal(code, 1);
});

test('events --json shows the lines of the node as they are', async () => {
  const { stdout } = await run(['events', '--json']);
  assert.equal(stdout.split('\n')[1], JSON.stringify(tx));
});
