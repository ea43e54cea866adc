import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { Config } from './config.ts';
import { readHttp } from './http-settings.ts';
import { loadConfig } from './load-config.ts';

let cwd = '';

beforeEach(() => {
  cwd = join(mkdtempSync(join(tmpdir(), 'skein-config-')), 'shop');
  mkdirSync(cwd);
});

afterEach(() => rmSync(join(cwd, '..'), { recursive: true }));

function load(text: string | undefined, env: NodeJS.ProcessEnv = {}, argv: readonly string[] = []): Config {
  if (text !== undefined) writeFileSync(join(cwd, 'skein.toml'), text);
  return loadConfig({ argv, env, cwd });
}

test('without file, variables and flags the defaults hold', () => {
  assert.deepEqual(load(undefined, { FLY_MACHINE_ID: '9080e6f3', FLY_REGION: 'ord' }), {
    app: 'shop',
    primaryRegion: undefined,
    env: {},
    processes: [],
    releaseCommand: undefined,
    releaseCommandTimeoutMs: 300_000,
    internalPort: 8080,
    http: readHttp(new Map(), 10_000),
    killSignal: 'SIGINT',
    killTimeoutMs: 5000,
    database: { dir: join(cwd, 'data') },
    node: {
      name: '9080e6f3',
      region: 'ord',
      listen: { host: '127.0.0.1', port: 20202 },
      advertise: 'http://127.0.0.1:20202',
      candidate: true,
      secret: undefined,
    },
    lease: {
      type: 'static',
      primary: undefined,
      path: undefined,
      url: undefined,
      key: 'skein/shop',
      ttlMs: 10_000,
    },
    nodeJs: { register: false },
    log: { retentionMs: 600_000, bytesMax: 1024 ** 3 },
    sections: [],
    sources: [],
  });
});

test('every key of a file is read', () => {
  const config = load(
    `app = "cities"
primary_region = "ams"
kill_signal = "SIGTERM"
kill_timeout = 30
[env]
LOG_LEVEL = "info"
WORKERS = 4
DEBUG = false
PLACE = "$HOME/\${NAME}"
PRICE = "$$5"
[deploy]
release_command = "node migrate.js $HOME"
release_command_timeout = "1m30s"
[http_service]
internal_port = 3000
[processes]
web = "node server.js --port $PORT"
[processes.worker]
command = "node worker.js"
on = "primary"
[database]
dir = "var/db"
[node]
name = "ams-1"
region = "fra"
listen = "[::1]:7000"
advertise = "http://10.0.0.5:7000/"
candidate = false
secret = "$SECRET"
[lease]
type = "static"
primary = "http://10.0.0.6:7000"
[node_js]
register = true

[log]
retention = "1h"
bytes_max = "64MiB"
`,
    { HOME: '/home/ada', NAME: 'x', SECRET: '0123456789abcdef' },
  );
  assert.deepEqual(config, {
    app: 'cities',
    primaryRegion: 'ams',
    env: { LOG_LEVEL: 'info', WORKERS: '4', DEBUG: 'false', PLACE: '/home/ada/x', PRICE: '$5' },
    processes: [
      { name: 'web', command: 'node server.js --port $PORT', on: 'all' },
      { name: 'worker', command: 'node worker.js', on: 'primary' },
    ],
    releaseCommand: 'node migrate.js $HOME',
    releaseCommandTimeoutMs: 90_000,
    internalPort: 3000,
    http: readHttp(new Map(), 10_000),
    killSignal: 'SIGTERM',
    killTimeoutMs: 30_000,
    database: { dir: join(cwd, 'var/db') },
    node: {
      name: 'ams-1',
      region: 'fra',
      listen: { host: '::1', port: 7000 },
      advertise: 'http://10.0.0.5:7000',
      candidate: false,
      secret: '0123456789abcdef',
    },
    lease: {
      type: 'static',
      primary: 'http://10.0.0.6:7000',
      path: undefined,
      url: undefined,
      key: 'skein/cities',
      ttlMs: 10_000,
    },
    nodeJs: { register: true },
    log: { retentionMs: 3_600_000, bytesMax: 64 * 1024 ** 2 },
    sections: [],
    sources: [join(cwd, 'skein.toml')],
  });
});

test('[env] may say what the node tells the app, whatever the node has of that name itself', () => {
  const { env, database, node } = load(
    `app = "shop"
[env]
DATABASE_URL = "file:\${SKEIN_DIR}/app.db"
PLACE = "$FLY_APP_NAME in $SKEIN_REGION at $PORT by $SKEIN_API"
LITERAL = "$$PORT"
[http_service]
internal_port = 3000
[node]
region = "syd"
`,
    { PORT: '1', SKEIN_DIR: '/elsewhere' },
  );
  assert.deepEqual(env, {
    DATABASE_URL: `file:${database.dir}/app.db`,
    PLACE: `shop in syd at 3000 by http://127.0.0.1:${node.listen.port}`,
    LITERAL: '$PORT',
  });
});

test('a fly.toml is read as it is, and what has no meaning yet is listed', () => {
  writeFileSync(
    join(cwd, 'fly.toml'),
    `app = 'hallo'
primary_region = 'ams'
kill_timeout = '10s'
swap_size_mb = 512
[build]
  dockerfile = 'Dockerfile'
  [build.args]
    ANYTHING = 'goes'
[deploy]
  release_command = 'bin/migrate'
  strategy = 'rolling'
[env]
  PORT = '8080'
[processes]
  app = 'bin/server'
[[mounts]]
  source = 'data'
[http_service]
  internal_port = 8080
  force_https = true
  processes = ['app']
  [http_service.concurrency]
    soft_limit = 200
  [[http_service.checks]]
    path = '/up'
[[vm]]
  memory = '$NOT_EXPANDED'
`,
  );
  const config = load(undefined);
  assert.equal(config.app, 'hallo');
  assert.equal(config.node.region, 'ams');
  assert.deepEqual(config.processes, [{ name: 'app', command: 'bin/server', on: 'all' }]);
  assert.deepEqual(config.sources, [join(cwd, 'fly.toml')]);
  assert.deepEqual(config.sections, [
    'swap_size_mb',
    'build',
    'deploy.strategy',
    'mounts',
    'http_service.force_https',
    'http_service.processes',
    'http_service.concurrency',
    'http_service.checks',
    'vm',
  ]);
});

test('old forms of fly.toml, lists of processes and of variables, are understood', () => {
  const config = load(`processes = [{ name = "web", command = "a" }]\nenv = [{ A = "1" }, { B = "2" }]\n`);
  assert.deepEqual(config.processes, [{ name: 'web', command: 'a', on: 'all' }]);
  assert.deepEqual(config.env, { A: '1', B: '2' });
  assert.deepEqual(load('processes = []').processes, []);
});

test('skein.toml goes before fly.toml, --config before SKEIN_CONFIG before both', () => {
  writeFileSync(join(cwd, 'fly.toml'), 'app = "fly"');
  writeFileSync(join(cwd, 'one.toml'), 'app = "one"');
  writeFileSync(join(cwd, 'two.toml'), 'app = "two"');
  assert.equal(load(undefined).app, 'fly');
  assert.equal(load('app = "skein"').app, 'skein');
  assert.equal(load(undefined, { SKEIN_CONFIG: 'one.toml' }).app, 'one');
  assert.equal(load(undefined, { SKEIN_CONFIG: 'one.toml' }, ['--config', 'two.toml']).app, 'two');
});

test('flags weigh more than variables, and variables more than the file', () => {
  const file = '[database]\ndir = "file"\n[http_service]\ninternal_port = 1';
  assert.equal(load(file).database.dir, join(cwd, 'file'));
  const env = { SKEIN_DATABASE_DIR: 'variable', SKEIN_HTTP_SERVICE_INTERNAL_PORT: '2', SKEIN_APP: '' };
  assert.equal(load(file, env).database.dir, join(cwd, 'variable'));
  assert.equal(load(file, env).internalPort, 2);
  assert.equal(load(file, env, ['--database-dir', '/flag']).database.dir, '/flag');
  assert.equal(load(file, env, ['--http-service-internal-port=3']).internalPort, 3);
  assert.equal(load(file, env).app, 'shop', 'an empty variable is as good as none');
});

test('a directory is relative to the file that names it, otherwise to the working directory', () => {
  mkdirSync(join(cwd, 'etc'));
  writeFileSync(join(cwd, 'etc/a.toml'), '[database]\ndir = "db"');
  assert.equal(load(undefined, { SKEIN_CONFIG: 'etc/a.toml' }).database.dir, join(cwd, 'etc/db'));
  const env = { SKEIN_CONFIG: 'etc/a.toml', SKEIN_DATABASE_DIR: 'db' };
  assert.equal(load(undefined, env).database.dir, join(cwd, 'db'));
});

test('variables of the app and processes are given by variable and flag under the same rule', () => {
  const file = '[env]\nLOG = "file"\nhttp_proxy = "a"\nHTTP_PROXY = "b"\n[processes]\nmy-job = "file"';
  const env = {
    SKEIN_ENV_LOG: 'variable',
    SKEIN_ENV_http_proxy: 'c',
    SKEIN_PROCESSES_MY_JOB_ON: 'primary',
    SKEIN_PROCESSES_WEB: 'node web.js',
  };
  const config = load(file, env, ['--env-http-proxy=d', '--env-new-one', 'e', '--processes-my-job', 'flag']);
  assert.deepEqual(config.env, { LOG: 'variable', http_proxy: 'c', HTTP_PROXY: 'd', NEW_ONE: 'e' });
  assert.deepEqual(config.processes, [
    { name: 'my-job', command: 'flag', on: 'primary' },
    { name: 'web', command: 'node web.js', on: 'all' },
  ]);
});

test('what Skein gives to apps, and what its tests use, is no configuration', () => {
  const env = {
    SKEIN_DIR: '/d',
    SKEIN_API: 'x',
    SKEIN_REGION: 'y',
    SKEIN_GUARD: 'z',
    SKEIN_TEST_ANYTHING: '1',
  };
  assert.equal(load(undefined, env).node.region, 'local');
});

test('a node for all interfaces is known by its host name', () => {
  const config = load(undefined, { SKEIN_NODE_LISTEN: ':7000', SKEIN_NODE_SECRET: '0123456789abcdef' });
  assert.deepEqual(config.node.listen, { host: '::', port: 7000 });
  assert.equal(config.node.advertise, `http://${hostname()}:7000`);
});
