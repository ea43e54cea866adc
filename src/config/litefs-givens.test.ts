import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { Config } from './config.ts';
import { loadConfig } from './load-config.ts';

let cwd = '';

beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'skein-litefs-'));
});

afterEach(() => rmSync(cwd, { recursive: true }));

function load(text: string, env: NodeJS.ProcessEnv = {}, argv: readonly string[] = []): Config {
  writeFileSync(join(cwd, 'litefs.yml'), text);
  return loadConfig({ argv, env, cwd });
}

function refusal(text: string, env: NodeJS.ProcessEnv = {}): string {
  try {
    load(text, env);
  } catch (error) {
    assert.ok(error instanceof Error && 'code' in error);
    return `${error.code} ${error.message}`;
  }
  return assert.fail('it was not refused');
}

const fly = `# For Fly.io: \${NOT_SET}
fuse:
  dir: "/litefs"
  allow-other: true
data:
  dir: "/var/lib/litefs"
  retention: 1h30m
exit-on-error: false
proxy:
  target: "localhost:8081"
lease:
  type: "consul"
  candidate: \${FLY_REGION == PRIMARY_REGION}
  promote: true
  advertise-url: "http://\${HOSTNAME}.vm.\${FLY_APP_NAME}.internal:20202"
  hostname: \${FLY_ALLOC_ID}
  consul:
    url: "\${FLY_CONSUL_URL}"
    key: "/litefs/\${FLY_APP_NAME}"
exec:
  - cmd: "npx prisma migrate deploy"
    if-candidate: true
  - cmd: "sh -c 'node server.js'"
`;
const flyEnvironment = {
  HOSTNAME: '9080e6f3',
  FLY_APP_NAME: 'shop',
  FLY_ALLOC_ID: '9080e6f3a12345',
  FLY_REGION: 'ams',
  PRIMARY_REGION: 'ams',
  FLY_CONSUL_URL: 'https://:token@consul.example/shop-abc',
  SKEIN_NODE_SECRET: '0123456789abcdef',
};

test('a file as LiteFS on Fly has it becomes a configuration', () => {
  const config = load(fly, flyEnvironment);
  assert.deepEqual(config.lease, {
    type: 'consul',
    primary: undefined,
    path: undefined,
    url: 'https://:token@consul.example/shop-abc',
    key: 'litefs/shop',
    ttlMs: 10_000,
  });
  assert.deepEqual(config.node, {
    name: '9080e6f3a12345',
    region: 'ams',
    listen: { host: '::', port: 20_202 },
    advertise: 'http://9080e6f3.vm.shop.internal:20202',
    candidate: true,
    secret: '0123456789abcdef',
  });
  assert.deepEqual(config.litefs, {
    setup: [{ argv: ['npx', 'prisma', 'migrate', 'deploy'], ifCandidate: true }],
    skipSync: false,
    exitOnError: false,
    promote: true,
  });
  assert.deepEqual(config.processes, [
    { name: 'app', command: "sh -c 'node server.js'", argv: ['sh', '-c', 'node server.js'], on: 'all' },
  ]);
  const { app, database, log, internalPort, sections, sources } = config;
  assert.deepEqual([app, database.dir, log.retentionMs, internalPort], ['shop', '/litefs', 5_400_000, 8081]);
  assert.deepEqual(sections, ['fuse.allow-other', 'data.dir']);
  assert.deepEqual(sources, [join(cwd, 'litefs.yml')]);
  assert.equal(load(fly, { ...flyEnvironment, FLY_REGION: 'ord' }).node.candidate, false);
});

test('with a static lease the candidate is the primary, and the file of a replica names it', () => {
  const url = 'http://primary.example:20202';
  const text = (candidate: boolean) =>
    `lease:\n  type: static\n  hostname: primary\n  advertise-url: ${url}\n  candidate: ${candidate}\n`;
  const env = { SKEIN_NODE_SECRET: '0123456789abcdef' };
  const primary = load(text(true), env);
  assert.deepEqual([primary.lease.primary, primary.node.advertise, primary.node.name], [url, url, 'primary']);
  const replica = load(text(false), env);
  assert.equal(replica.lease.primary, url);
  assert.equal(replica.node.advertise, `http://${hostname()}:20202`);
  assert.notEqual(replica.node.name, 'primary');
  assert.equal(replica.node.candidate, false);
  assert.match(refusal('lease:\n  type: static\n  candidate: false\n'), /litefs.yml:2: .*URL of the primary/);
});

test('a node that advertises this machine only listens there, and any other needs a secret', () => {
  const alone = load('lease:\n  type: static\n  advertise-url: http://localhost:20202\n');
  assert.deepEqual(alone.node.listen, { host: '127.0.0.1', port: 20_202 });
  assert.match(
    refusal('lease:\n  type: static\n  advertise-url: http://a.example:20202\n'),
    /^SECRET_REQUIRED/,
  );
  assert.match(refusal('http:\n  addr: ":20202"\nlease:\n  type: static\n'), /^SECRET_REQUIRED/);
});

test('variables and flags weigh more than the file, and the port of the app is left to it where there is no proxy', () => {
  const config = load('lease:\n  type: static\n', { SKEIN_DATABASE_DIR: 'here', PORT: '3000' }, [
    '--node-name=one',
  ]);
  assert.deepEqual(
    [config.database.dir, config.internalPort, config.node.name],
    [join(cwd, 'here'), 3000, 'one'],
  );
  assert.equal(load('lease:\n  type: static\n').env.HOSTNAME, hostname());
});

test('a command that stands alone is the one that is kept running, and one for candidates only is left out elsewhere', () => {
  assert.deepEqual(load('exec: "node server.js"\nlease:\n  type: static\n').processes[0]?.argv, [
    'node',
    'server.js',
  ]);
  const text = (candidate: boolean) =>
    `lease:\n  type: static\n  advertise-url: http://localhost:1\n  candidate: ${candidate}\nexec:\n  - cmd: a\n    if-candidate: true\n`;
  assert.equal(load(text(true)).processes.length, 1);
  assert.equal(load(text(false)).processes.length, 0);
});

test('what is wrong is named with file, line and the nearest key', () => {
  const lease = 'lease:\n  type: static\n';
  const cases: readonly (readonly [string, RegExp])[] = [
    [
      `${lease}  hostnme: a\n`,
      /^CONFIG_UNKNOWN_KEY litefs.yml:3: unknown key lease.hostnme. .*lease.hostname/,
    ],
    [`${lease}fuze:\n  dir: a\n`, /^CONFIG_UNKNOWN_KEY litefs.yml:3: unknown key fuze. .*fuse/],
    [`${lease}exec:\n  - cmd: a\n    if-candidat: true\n`, /litefs.yml:5: unknown key exec.0.if-candidat/],
    [
      `${lease}skip-sync: maybe\n`,
      /^CONFIG_INVALID litefs.yml:3: skip-sync is "maybe"; allowed: true or false/,
    ],
    [`${lease}data:\n  retention: soon\n`, /litefs.yml:4: data.retention is "soon"/],
    ['lease:\n  type: zookeeper\n', /litefs.yml:2: lease.type is "zookeeper"; allowed: consul, static/],
    ['fuse:\n  dir: a\n', /litefs.yml:1: lease.type is missing/],
    [`${lease}exec: "a && b"\n`, /litefs.yml:3: exec is "a && b", which only a shell can run/],
    [`${lease}proxy:\n  target: "10.0.0.1:80"\n`, /litefs.yml:4: proxy.target/],
    ['lease: [\n', /^CONFIG_SYNTAX litefs.yml:2/],
    ['lease:\n  type: static\n  type: consul\n', /^CONFIG_SYNTAX litefs.yml:3:3/],
    ['lease:\n  type: consul\n  consul:\n    ttl: 2s\n    url: http://c:8500\n', /lease.ttl is 2s/],
  ];
  for (const [text, expected] of cases) assert.match(refusal(text), expected);
});

test('a litefs.yml is looked for after skein.toml, here, at home, and before fly.toml', () => {
  const home = join(cwd, 'home');
  mkdirSync(home);
  writeFileSync(join(home, 'litefs.yml'), 'lease:\n  type: static\n');
  writeFileSync(join(cwd, 'fly.toml'), 'app = "fly"\n');
  const sources = () => loadConfig({ argv: [], env: { HOME: home }, cwd }).sources;
  assert.deepEqual(sources(), [join(home, 'litefs.yml')]);
  writeFileSync(join(cwd, 'litefs.yml'), 'lease:\n  type: static\n');
  assert.deepEqual(sources(), [join(cwd, 'litefs.yml')]);
  writeFileSync(join(cwd, 'skein.toml'), '');
  assert.deepEqual(sources(), [join(cwd, 'skein.toml')]);
  const named = loadConfig({ argv: ['--config=home/litefs.yml'], env: {}, cwd });
  assert.deepEqual(named.sources, [join(home, 'litefs.yml')]);
});
