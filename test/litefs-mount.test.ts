import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ConsulStandIn } from '../src/lease/consul-stand-in.ts';
import { sqlite3 } from './support/checks.ts';
import { freePorts } from './support/free-ports.ts';
import { LiteFsNode } from './support/litefs-node.ts';
import { waitFor } from './support/wait-for.ts';
import { skipWithout } from './tools.ts';

const skip = skipWithout('sqlite3');
const migrate = 'sqlite3 fuse/app.db \\"PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS t (at)\\"';

async function directoryOf(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'skein-test-'));
  t.after(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }));
  return directory;
}

/** One node with a static lease. */
async function alone(t: TestContext, config: string): Promise<LiteFsNode> {
  const [port] = await freePorts(1);
  const text = `fuse:\n  dir: fuse\nhttp:\n  addr: "127.0.0.1:${port}"\n${config}`;
  return new LiteFsNode(t, { directory: join(await directoryOf(t), 'node'), port, config: text });
}

const staticLease = 'lease:\n  type: static\n  hostname: only\n';

/** Two candidates and `ord`, which is none, with the same file and one Consul. */
async function threeNodes(t: TestContext): Promise<[LiteFsNode, LiteFsNode, LiteFsNode]> {
  const consul = await ConsulStandIn.start({ token: 'token' });
  t.after(() => consul.stop());
  const directory = await directoryOf(t);
  const ports = await freePorts(3);
  return (['ams', 'ord', 'late'] as const).map((name, index) => {
    const port = ports[index];
    const config = `# As on Fly.io, \${COMMENT}
fuse:
  dir: "fuse"
data:
  dir: "/var/lib/litefs"
http:
  addr: "127.0.0.1:\${API_PORT}"
lease:
  type: "consul"
  candidate: \${FLY_REGION == PRIMARY_REGION}
  promote: true
  hostname: $NAME
  advertise-url: "http://127.0.0.1:\${API_PORT}"
  consul:
    url: "$CONSUL_URL"
    key: "litefs/\${FLY_APP_NAME}"
exec:
  - cmd: "sh -c '${migrate}; echo migrated'"
    if-candidate: true
  - cmd: "sh -c 'echo started in $LITEFS_DIR; exec sleep 1000'"
`.replaceAll('$LITEFS_DIR', '.');
    const environment = {
      NAME: name,
      API_PORT: String(port),
      CONSUL_URL: consul.url.replace('http://', 'http://:token@'),
      FLY_APP_NAME: 'shop',
      FLY_REGION: name === 'ord' ? 'ord' : 'ams',
      PRIMARY_REGION: 'ams',
    };
    return new LiteFsNode(t, { directory: join(directory, name), port, config, environment });
  }) as [LiteFsNode, LiteFsNode, LiteFsNode];
}

test('nodes of a litefs.yml with Consul: who may lead is promoted, migrates, and the others follow', {
  skip,
}, async (t) => {
  const [ams, ord, late] = await threeNodes(t);
  const amsEnded = ams.mount();
  await ams.printed(/setup +\| migrated/);
  await ams.printed(/app +\| started/);
  void ord.mount('-skip-unmount', '-config=litefs.yml');
  await ord.printed(/app +\| started/);
  assert.ok(!ord.lines.some((line) => /migrated/.test(line)), 'no candidate, no migration');
  assert.deepEqual(await ord.info(), {
    clusterID: (await fetch(`${ams.url}/info`)).headers.get('litefs-cluster-id'),
    isPrimary: false,
    candidate: false,
    path: join(ord.directory, 'fuse'),
    primary: { hostname: 'ams' },
  });
  assert.equal(readFileSync(ord.path('.primary'), 'utf8'), 'ams\n');
  assert.match(ord.lines.join('\n'), /config file read from .*ord\/litefs.yml/);
  assert.match(ord.lines.join('\n'), /without effect so far sections="data.dir, -skip-unmount"/);

  void late.mount();
  await late.printed(/setup +\| migrated/);
  assert.equal((await late.info())?.isPrimary, true, 'lease.promote moved the lead before the migration');
  await waitFor(
    'ord to follow',
    () => existsSync(ord.path('.primary')) && readFileSync(ord.path('.primary'), 'utf8') === 'late\n',
  );

  const refused = await fetch(`${ord.url}/promote`, { method: 'POST' });
  assert.deepEqual([refused.status, await refused.text()], [409, 'not eligible to become primary\n']);
  assert.deepEqual(await ord.skein('run', '-if-candidate', '-promote', '--', 'no-such-program'), {
    code: 0,
    output: 'skein: this node is no candidate, so the command is left out',
  });
  const promoted = await ams.skein(
    'run',
    '-promote',
    '-if-candidate',
    '--',
    'sqlite3',
    'fuse/app.db',
    'INSERT INTO t VALUES (1)',
  );
  assert.deepEqual(promoted, { code: 0, output: '' });
  assert.equal((await ams.info())?.isPrimary, true);
  const lateId = (await fetch(`${late.url}/info`)).headers.get('litefs-id');
  await waitFor('late to follow ams', async () => (await late.info())?.primary?.hostname === 'ams');
  assert.equal(
    (await fetch(`${late.url}/handoff?nodeID=${lateId}`, { method: 'POST' })).status,
    500,
    'only the primary',
  );
  assert.equal((await fetch(`${ams.url}/handoff?nodeID=0000000000000001`, { method: 'POST' })).status, 500);
  assert.equal((await fetch(`${ams.url}/handoff?nodeID=${lateId}`, { method: 'POST' })).status, 200);
  assert.equal((await late.info())?.isPrimary, true);
  assert.equal((await fetch(`${late.url}/promote`, { method: 'POST' })).status, 200, 'it leads already');
  await waitFor(
    'ord to have the row',
    async () => (await sqlite3(ord.path('app.db'), 'SELECT count(*) FROM t')) === '1',
  );
  await ams.end();
  assert.equal(await amsEnded, 0, 'a signal ends it in order');
});

test('the last command of exec ends the node with its code, after the others were run in order', {
  skip,
}, async (t) => {
  const node = await alone(
    t,
    `${staticLease}exec:\n  - cmd: sh -c 'echo one; sleep 0.2'\n  - cmd: echo two\n  - cmd: sh -c 'echo three; exit 3'\n`,
  );
  assert.equal(await node.mount(), 3);
  const said = node.lines.flatMap((line) => /\| (one|two|three)$/.exec(line)?.[1] ?? []);
  assert.deepEqual(said, ['one', 'two', 'three']);
  assert.equal(await node.mount('--', 'sh', '-c', 'echo "$1"; exit 5', 'sh', 'quotes are "kept"'), 5);
  assert.match(node.lines.join('\n'), /\| quotes are "kept"/);
  assert.equal(
    node.lines.filter((line) => /\| one$/.test(line)).length,
    1,
    'a command after -- replaces all of exec',
  );
});

test('a command of exec that fails ends the start, and with exit-on-error off leaves the node up', {
  skip,
}, async (t) => {
  const failing = `${staticLease}exec:\n  - cmd: sh -c 'echo broken; exit 9'\n  - cmd: echo never\n`;
  const node = await alone(t, failing);
  assert.equal(await node.mount(), 1);
  assert.match(node.lines.join('\n'), /Command 1 of exec failed with exit code 9.*\n.*broken/);
  assert.ok(!node.lines.some((line) => /\| never/.test(line)));
  const patient = await alone(t, `exit-on-error: false\n${failing}`);
  const ended = patient.mount();
  await patient.printed(/exit-on-error is false/);
  assert.equal((await patient.info())?.isPrimary, true);
  await patient.end();
  assert.equal(await ended, 0);
});

test('a node that loses the lead while a command of exec runs lets that end, and goes on', async (t) => {
  const [port] = await freePorts(1);
  const directory = await directoryOf(t);
  const once = join(directory, 'once');
  const node = new LiteFsNode(t, {
    directory: join(directory, 'node'),
    port,
    config: `fuse:
  dir: fuse
http:
  addr: "127.0.0.1:${port}"
lease:
  type: consul
  candidate: true
  hostname: only
  advertise-url: "http://127.0.0.1:${port}"
exec:
  - cmd: sh -c 'echo first begun; sleep 5; echo first done'
  - cmd: echo second done
  - cmd: sh -c 'echo app begun; exec sleep 60'
`,
    environment: {
      SKEIN_LEASE_TYPE: 'file',
      SKEIN_LEASE_PATH: join(directory, 'lease'),
      SKEIN_LEASE_TTL: '2s',
      // Nothing of the app has started when the node leads again, so it runs again, after what is under way.
      SKEIN_DEPLOY_RELEASE_COMMAND: `mkdir ${once} || echo released`,
    },
  });
  const ended = node.mount();
  await node.printed(/first begun/);
  const { pid } = JSON.parse(await (await fetch(`${node.url}/status`)).text());
  process.kill(pid, 'SIGSTOP');
  await delay(2_500);
  process.kill(pid, 'SIGCONT');
  await node.printed(/app begun/);
  const said = node.lines.flatMap(
    (line) => /(this node leads|released|first done|second done|app begun)/.exec(line)?.[1] ?? [],
  );
  assert.deepEqual(said, [
    'this node leads',
    'this node leads',
    'first done',
    'released',
    'second done',
    'app begun',
  ]);
  assert.doesNotMatch(node.lines.join('\n'), /could not lead/);
  await node.end();
  assert.equal(await ended, 0);
});

test('skip-sync starts the command of a replica that has no primary yet', async (t) => {
  const lease = 'lease:\n  type: static\n  candidate: false\n  advertise-url: http://127.0.0.1:1\n';
  const node = await alone(t, `skip-sync: true\n${lease}exec: echo served\n`);
  assert.equal(await node.mount(), 0);
  assert.match(node.lines.join('\n'), /\| served/);
});

test('mount without a litefs.yml, and with one that is wrong, ends with 2', async (t) => {
  const node = await alone(t, `${staticLease}  candidat: true\n`);
  assert.equal(await node.mount(), 2);
  assert.match(
    node.lines.join('\n'),
    /litefs.yml:8: unknown key lease.candidat. The nearest known key is lease.candidate/,
  );
  assert.equal(await node.mount('-config', 'none.yml'), 2);
  assert.equal(await node.mount('-configs', 'litefs.yml'), 2);
  const literal = await alone(t, `${staticLease}exec: echo $FLY_REGION\n`);
  assert.equal(await literal.mount('-no-expand-env'), 0);
  assert.match(literal.lines.join('\n'), /\| \$FLY_REGION/);
});
