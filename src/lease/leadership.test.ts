import assert from 'node:assert/strict';
import { EventEmitter, on } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { SkeinError } from '../base/errors.ts';
import { temporaryDirectory } from '../base/test-support.ts';
import { FileLease } from './file-lease.ts';
import { Leadership } from './leadership.ts';
import type { LeadershipHandlers, Member } from './leadership-handlers.ts';
import type { Lease, LeaseToken } from './lease.ts';
import type { LeaseHolder, LeaseRecord } from './lease-record.ts';
import { LineageFile } from './lineage-file.ts';
import type { Term } from './term.ts';

const ttlMs = 1_000;
const waitMs = 15_000;

function at(txid: number): string {
  return `${txid.toString(16).padStart(16, '0')}/${(0x8000000000000000n | BigInt(txid)).toString(16)}`;
}

/** A node without databases: it has a number of transactions, and does what leadership asks. */
class Candidate implements LeadershipHandlers {
  readonly name: string;
  readonly leadership: Leadership;
  readonly lineage = new LineageFile(undefined);
  readonly said: string[] = [];
  readonly changes = new EventEmitter();
  role: 'primary' | 'fenced' | 'replica' = 'replica';
  leader: LeaseHolder | undefined;
  txid: number;
  standby: string;
  failsToLead = false;
  /** What it has in the store. */
  record: LeaseRecord | undefined;

  constructor(
    name: string,
    directory: string,
    txid = 0,
    epoch = 0,
    lease: Lease = new FileLease({ directory, ttlMs }),
  ) {
    this.name = name;
    this.standby = name;
    this.txid = txid;
    this.lineage.update({ epoch });
    this.leadership = new Leadership(lease, this.lineage, this);
  }

  member(): Member {
    const { epoch } = this.lineage.lineage;
    const positions: Record<string, string> = this.txid > 0 ? { 'a.db': at(this.txid) } : {};
    const url = `http://${this.name}:1`;
    return { node: this.name, region: 'x', url, candidate: true, isInPrimaryRegion: true, epoch, positions };
  }

  isConnected(): boolean {
    return false;
  }

  async lead(term: Term): Promise<void> {
    if (this.failsToLead) throw new Error('it does not want to');
    this.lineage.update({ epoch: term.epoch });
    this.#become('primary');
  }

  async fence(): Promise<void> {
    if (this.role === 'primary') this.#become('fenced');
  }

  async unfence(): Promise<void> {
    this.#become('primary');
  }

  async follow(leader: LeaseHolder | undefined): Promise<void> {
    if (this.role === 'replica' && leader?.node === this.leader?.node) return;
    this.leader = leader;
    this.#become('replica');
  }

  durable(): Pick<LeaseRecord, 'standby' | 'safe'> | undefined {
    if (this.role === 'replica') return undefined;
    const epoch = this.leadership.term?.epoch ?? 0;
    const positions: Record<string, string> = this.txid > 0 ? { 'a.db': at(this.txid) } : {};
    return { standby: this.standby, safe: { epoch, positions } };
  }

  written(record: LeaseRecord): void {
    this.record = record;
    this.changes.emit('change');
  }

  notice(message: string, fields: Record<string, unknown>): void {
    this.said.push(`${message} ${JSON.stringify(fields)}`);
    this.changes.emit('change');
  }

  /** It has all that the other has, as its standby. */
  async standFor(primary: Candidate): Promise<void> {
    this.txid = primary.txid;
    this.lineage.update({ epoch: primary.leadership.epoch });
    primary.standby = this.name;
    primary.leadership.term?.write();
    await primary.until(() => primary.record?.standby === this.name);
  }

  /** Waits for something to become true of this node. */
  async until(isTrue: () => boolean): Promise<void> {
    if (isTrue()) return;
    for await (const _ of on(this.changes, 'change', { signal: AbortSignal.timeout(waitMs) }))
      if (isTrue()) return;
  }

  /** Ends as by SIGKILL: the hold stays until its TTL ends. */
  async die(): Promise<void> {
    this.leadership.term?.lose();
    await this.leadership.stop();
    this.role = 'replica';
  }

  #become(role: 'primary' | 'fenced' | 'replica'): void {
    this.role = role;
    this.changes.emit('change');
  }
}

function start(t: TestContext, candidates: readonly Candidate[]): void {
  for (const candidate of candidates) {
    candidate.leadership.start();
    t.after(() => candidate.leadership.stop());
  }
}

/** The first node to take it is not told that it has it. */
class LeaseWithoutAnswer extends FileLease {
  readonly taken = Promise.withResolvers<void>();
  #isFirst = true;

  override async acquire(...args: Parameters<Lease['acquire']>): Promise<LeaseToken | undefined> {
    const token = await super.acquire(...args);
    if (!this.#isFirst || token === undefined) return token;
    this.#isFirst = false;
    this.taken.resolve();
    throw new SkeinError('LEASE_UNREACHABLE', 'The answer was lost.');
  }
}

const leads = (candidate: Candidate) => candidate.role === 'primary';

test('of several candidates one leads, and the others follow it', async (t) => {
  const directory = temporaryDirectory(t);
  const all = ['one', 'two', 'three'].map((name) => new Candidate(name, directory));
  start(t, all);
  await Promise.any(all.map((candidate) => candidate.until(() => leads(candidate))));
  const [leader, ...others] = [...all].sort((one, other) => Number(leads(other)) - Number(leads(one)));
  assert.equal(others.filter(leads).length, 0);
  for (const other of others) await other.until(() => other.leader?.node === leader.name);
});

test('after a holder that died its standby leads, and not a node with more of an older chain', async (t) => {
  const directory = temporaryDirectory(t);
  const one = new Candidate('one', directory, 10);
  start(t, [one]);
  await one.until(() => leads(one));
  const two = new Candidate('two', directory);
  const three = new Candidate('three', directory, 500);
  await two.standFor(one);
  start(t, [two, three]);
  await three.until(() => three.leader?.node === 'one');
  await one.die();
  await two.until(() => leads(two));
  assert.equal(two.leadership.epoch, 2);
  await three.until(() => three.leader?.node === 'two');
});

test('a node that lacks what is safe does not lead before a person says so', async (t) => {
  const directory = temporaryDirectory(t);
  const one = new Candidate('one', directory, 10);
  start(t, [one]);
  await one.until(() => one.record?.safe.epoch === 1);
  await one.die();
  const empty = new Candidate('empty', directory);
  start(t, [empty]);
  await empty.until(() => empty.said.some((line) => /lacks acknowledged transactions/.test(line)));
  assert.match(String(empty.leadership.report().obstacle), /lacks acknowledged transactions of a.db/);
  assert.equal(empty.role, 'replica');
  empty.leadership.acceptLoss(new AbortController().signal);
  await empty.until(() => leads(empty));
  assert.equal(empty.leadership.report().obstacle, undefined, 'what was given up is not asked for again');
});

test('a loss that was accepted is accepted for that request only', async (t) => {
  const directory = temporaryDirectory(t);
  const one = new Candidate('one', directory, 10);
  start(t, [one]);
  await one.until(() => one.record?.safe.epoch === 1);
  const empty = new Candidate('empty', directory);
  start(t, [empty]);
  await empty.until(() => empty.leader?.node === 'one');
  const request = new AbortController();
  empty.leadership.acceptLoss(request.signal);
  request.abort();
  await one.die();
  await empty.until(() => empty.said.some((line) => /lacks acknowledged transactions/.test(line)));
  await new Promise((resolve) => setTimeout(resolve, 2 * ttlMs));
  assert.equal(empty.role, 'replica');
});

test('a hold that is handed over moves at once, under the next epoch', async (t) => {
  const directory = temporaryDirectory(t);
  const [one, two] = ['one', 'two'].map((name) => new Candidate(name, directory, 10));
  start(t, [one]);
  await one.until(() => leads(one));
  start(t, [two]);
  await two.until(() => two.leader?.node === 'one');
  await one.fence();
  const { node, region, url } = two.member();
  let isDone = false;
  await one.leadership.handOver(
    { node, region, url },
    (token, record) => two.leadership.takeOver(token, record),
    () => {
      isDone = true;
      assert.equal(one.role, 'fenced', 'this node has not become anything else yet');
    },
  );
  assert.ok(isDone);
  await two.until(() => leads(two));
  await one.until(() => one.leader?.node === 'two');
  assert.equal(two.leadership.epoch, 2);
  assert.ok(!one.said.some((line) => /its lease ended/.test(line)));
});

test('a handoff that the target never hears of ends with the hold, and what was handed over leads again', async (t) => {
  const directory = temporaryDirectory(t);
  const [one, two] = ['one', 'two'].map((name) => new Candidate(name, directory, 10));
  start(t, [one]);
  await one.until(() => leads(one));
  start(t, [two]);
  await two.until(() => two.leader?.node === 'one');
  await one.fence();
  const { node, region, url } = two.member();
  const handing = one.leadership.handOver(
    { node, region, url },
    () => undefined,
    () => assert.fail('nobody has taken it'),
  );
  await assert.rejects(handing, { code: 'LEASE_LOST' });
  await one.until(() => leads(one));
  assert.equal(one.leadership.epoch, 2);
});

test('a lease that is given up in order is free at once', async (t) => {
  const directory = temporaryDirectory(t);
  const [one, two] = ['one', 'two'].map((name) => new Candidate(name, directory, 10));
  start(t, [one]);
  await one.until(() => leads(one));
  await two.standFor(one);
  one.standby = 'two';
  start(t, [two]);
  await two.until(() => two.leader?.node === 'one');
  const atMs = performance.now();
  await one.leadership.stop();
  await two.until(() => leads(two));
  t.diagnostic(`free after ${Math.round(performance.now() - atMs)} ms`);
});

test('a store that was emptied under a holder is filled by it, and not by an empty node', async (t) => {
  const directory = temporaryDirectory(t);
  const one = new Candidate('one', directory, 10);
  start(t, [one]);
  await one.until(() => leads(one));
  const empty = new Candidate('empty', directory);
  start(t, [empty]);
  await empty.until(() => empty.leader?.node === 'one');
  rmSync(join(directory, 'lease.json'));
  await one.until(() => one.leadership.epoch === 2 && leads(one));
  assert.equal(empty.role, 'replica');
});

test('a node that cannot lead gives the lease to one that can', async (t) => {
  const directory = temporaryDirectory(t);
  const [one, two] = ['one', 'two'].map((name) => new Candidate(name, directory));
  one.failsToLead = true;
  start(t, [one]);
  await one.until(() => one.said.some((line) => /could not lead/.test(line)));
  start(t, [two]);
  await two.until(() => leads(two));
  await one.until(() => one.leader?.node === 'two');
});

test('a node that took the lease and went before it led takes it again, and nothing stands in its way', async (t) => {
  const directory = temporaryDirectory(t);
  const lease = new LeaseWithoutAnswer({ directory, ttlMs });
  const only = new Candidate('one', directory, 100, 3, lease);
  start(t, [only]);
  await lease.taken.promise;
  assert.equal(leads(only), false);
  await only.until(() => leads(only));
});
