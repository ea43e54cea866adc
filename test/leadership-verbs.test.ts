import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { sqlite3 } from './support/checks.ts';
import { type CandidatesOptions, durable, TestCandidates } from './support/test-candidates.ts';
import type { TestNode } from './support/test-node.ts';
import { waitFor } from './support/wait-for.ts';
import { skipWithout } from './tools.ts';

const skip = skipWithout('sqlite3');
const environment = { SKEIN_NODE_SECRET: 'a-secret-of-the-test' };

type Finding = {
  readonly check: string;
  readonly mark: string;
  readonly what: string;
  readonly advice?: string;
};
type Diagnosis = {
  readonly ok: boolean;
  readonly findings: readonly Finding[];
  readonly safe: { readonly epoch: number; readonly positions: Readonly<Record<string, string>> } | null;
  readonly nodes: readonly {
    readonly node: string;
    readonly state: string;
    readonly obstacle: string | null;
    readonly positions: Readonly<Record<string, string>>;
  }[];
};

async function threeNodes(
  t: TestContext,
  options: CandidatesOptions = {},
): Promise<{ candidates: TestCandidates; leader: TestNode; others: TestNode[] }> {
  const candidates = await TestCandidates.start(t, { environment, ...options });
  const leader = await candidates.leader();
  await sqlite3(
    leader.path('app.db'),
    'PRAGMA journal_mode=WAL; CREATE TABLE entry (id INTEGER PRIMARY KEY)',
  );
  await candidates.waitInStep();
  await durable(leader, candidates.nodes);
  return { candidates, leader, others: candidates.others(leader) };
}

async function diagnose(node: TestNode): Promise<Diagnosis & { code: number | null }> {
  const { stdout, stderr, code } = await node.skein('doctor', '--json');
  assert.equal(stderr, '');
  return { ...(JSON.parse(stdout) as Diagnosis), code };
}

function warnings({ findings }: Diagnosis): string[] {
  return findings.filter(({ mark }) => mark === 'warning').map(({ check, what }) => `${check}: ${what}`);
}

test('promote has the node lead that it is asked of, and says who led and how long it took', {
  skip,
}, async (t) => {
  const { candidates, leader, others } = await threeNodes(t);
  const [target] = others;
  const answer = await target.skein('promote');
  assert.deepEqual([answer.stderr, answer.code], ['', 0]);
  assert.match(
    answer.stdout,
    new RegExp(`^${target.name} leads, after \\d+ ms; ${leader.name} led before\\.\n$`),
  );
  assert.equal(await candidates.leader(), target);
  assert.equal((await target.skein('promote')).stdout, `${target.name} leads already.\n`);
});

test('handoff, asked of any node, has the named one lead, or the nearest', { skip }, async (t) => {
  const { candidates, leader, others } = await threeNodes(t);
  const [target, third] = others;
  const answer = await third.skein('handoff', target.name);
  assert.deepEqual([answer.stderr, answer.code], ['', 0]);
  assert.match(
    answer.stdout,
    new RegExp(`^${target.name} leads, after \\d+ ms; ${leader.name} led before\\.\n$`),
  );
  await candidates.settled();
  assert.match((await target.skein('handoff')).stdout, /^(?:ams|ord|syd) leads, after /);
  const next = await candidates.settled();
  assert.notEqual(next, target);
  assert.equal((await next.skein('handoff', next.name)).stdout, `${next.name} leads already.\n`);
  const refused = await next.skein('handoff', 'nobody');
  assert.match(refused.stderr, /^skein: nobody is no candidate .* \[NO_CANDIDATE\]\n$/);
  assert.equal(refused.code, 1);
});

test('promote refuses where the node may lack what was acknowledged, and --accept-loss does not', {
  skip,
}, async (t) => {
  const { leader, candidates } = await threeNodes(t);
  const { nodes } = await diagnose(leader);
  const standby = candidates.node(nodes.find(({ state }) => state === 'standby')?.node ?? '');
  const [third] = candidates.others(leader, standby);
  await Promise.all([leader.kill(), standby.kill()]);
  await third.line(/nobody leads/);
  const refused = await third.skein('promote');
  assert.match(refused.stderr, /cannot know .* acknowledged last.*--accept-loss.*\[NO_CANDIDATE\]\n$/);
  assert.equal(refused.code, 1);
  const handoff = await third.skein('handoff');
  assert.match(handoff.stderr, /follows nobody.*skein doctor.*\[NOT_PRIMARY\]\n$/);

  const found = await diagnose(third);
  assert.equal(found.code, 1);
  const lead = found.findings.find(({ check }) => check === 'lead');
  assert.equal(lead?.what, 'nobody leads, and no node that is known of may');
  assert.ok(lead.advice?.includes(`Start ${leader.name} or ${standby.name}.`), lead.advice);
  assert.match(found.nodes.find(({ node }) => node === third.name)?.obstacle ?? '', /^cannot know/);

  assert.match((await third.skein('promote', '--accept-loss')).stdout, /leads, after .*nobody led before/);
});

test('doctor finds nothing wrong where all is well, and shows who could lead', { skip }, async (t) => {
  const { candidates, leader, others } = await threeNodes(t);
  // The record is written anew a few times in each TTL.
  await waitFor(
    'the record to name the database',
    async () => 'app.db' in ((await diagnose(leader)).safe?.positions ?? {}),
  );
  for (const node of candidates.nodes) {
    const found = await diagnose(node);
    assert.deepEqual(warnings(found), [], node.name);
    assert.deepEqual([found.ok, found.code], [true, 0]);
    assert.deepEqual(
      found.nodes.map(({ state }) => state),
      ['leads', 'standby', 'candidate'],
    );
    assert.equal(found.nodes[0]?.node, leader.name);
    assert.match(found.nodes[2]?.obstacle ?? '', /^cannot know/);
    assert.equal(new Set(found.nodes.map(({ positions }) => positions['app.db'])).size, 1);
    assert.deepEqual(Object.keys(found.safe?.positions ?? {}), ['app.db']);
  }
  const { stdout, code } = await others[0].skein('doctor');
  assert.match(stdout, /^ {4,}check +found\nok +configuration +\S+skein\.toml\nok +node +\S+ runs at http/);
  assert.match(stdout, /\nok +lease store +a file in \S+, TTL 2s\n/);
  assert.match(stdout, new RegExp(`\n${leader.name} +${leader.name} +leads +app\\.db +[0-9a-f]{16}/`));
  assert.equal(code, 0);
});

test('doctor tells of a node that is down, of a clock that is wrong, of a lease store that is not there', {
  skip,
}, async (t) => {
  const { candidates, leader, others } = await threeNodes(t, {
    nodes: { syd: { environment: { SKEIN_TEST_CLOCK_OFFSET_MS: '90000' } } },
  });
  const asked = candidates.others(candidates.node('syd'))[0];
  const syd = candidates.node('syd');
  const clocks = await asked.skein('doctor', '--json', '--url', syd.url);
  assert.match(clocks.stdout, /that of syd is (?:90\.0|89\.\d) s ahead of this machine's/);
  assert.equal(clocks.code, 1);

  const down = others.find((node) => node !== syd) ?? others[0];
  await down.stop();
  const found = await diagnose(down);
  assert.deepEqual([found.ok, found.code], [false, 1]);
  assert.match(warnings(found)[0] ?? '', /^node: No node answers at/);
  assert.match(found.findings.find(({ check }) => check === 'data')?.what ?? '', /is writable; last replica/);
  assert.equal(found.findings.find(({ check }) => check === 'lease store')?.mark, 'ok');
  assert.match(
    found.findings.find(({ check }) => check === 'lead')?.what ?? '',
    new RegExp(`^${leader.name} leads`),
  );

  const storeless = await down.skein(
    'doctor',
    '--json',
    ...['--lease-type=redis', '--lease-url=redis://somebody:hidden@127.0.0.1:1'],
  );
  assert.match(storeless.stderr, /lease\.path has no meaning|^$/);
  assert.doesNotMatch(storeless.stdout + storeless.stderr, /hidden/);
  assert.equal(storeless.code, 1);
});

test('doctor of a node with a fixed primary says so, and what a wrong configuration is', {
  skip,
}, async (t) => {
  const candidates = await TestCandidates.create(t, {
    count: 1,
    environment: { SKEIN_LEASE_TYPE: 'static', SKEIN_LEASE_PATH: '', SKEIN_LEASE_TTL: '' },
  });
  const [node] = candidates.nodes;
  await node.start();
  await waitFor('it to lead', async () => (await node.tryState())?.role === 'primary');
  const found = await diagnose(node);
  assert.deepEqual(warnings(found), []);
  assert.deepEqual(found.nodes[0]?.state, 'leads');
  for (const argv of [['promote', '--url', `${node.url}/`], ['handoff']]) {
    const refused = await node.skein(...argv);
    assert.match(refused.stderr + refused.stdout, /leads already|the primary never changes.*\[USAGE\]/);
  }
  const wrong = await node.skein('doctor', '--lease-ttl=1h');
  assert.match(wrong.stdout, /warning +configuration +.*lease.ttl/s);
  assert.deepEqual([wrong.stderr, wrong.code], ['', 1]);
});
