import { createHash, randomUUID } from 'node:crypto';
import { z } from 'zod';
import { monotonicMs } from '../base/clock.ts';
import { sleep } from '../base/sleep.ts';
import { EtcdClient } from './etcd-client.ts';
import { announcementTtlMs, type Lease, type LeaseState, type LeaseToken, leaseTimeoutMs } from './lease.ts';
import {
  type Announcement,
  boundAbove,
  decodeAnnouncement,
  decodeRecord,
  encodeAnnouncement,
  encodeRecord,
  type LeaseRecord,
} from './lease-record.ts';

export type EtcdLeaseOptions = {
  /** `http://NAME:PASSWORD@HOST:2379`, several separated by commas. */
  readonly url: string;
  /** The beginning of all keys that the lease uses. */
  readonly key: string;
  readonly ttlMs: number;
};

/** How much longer than a hold its lease in etcd lasts: the hold must not end early because etcd counts otherwise. */
const etcdLeaseSpareMs = 1_000;
const failurePauseMs = 250;

const header = z.object({ revision: z.string() });
/** The gateway leaves out what is empty, false or 0. */
const keyValue = z.object({ key: z.string(), value: z.string().default(''), mod_revision: z.string() });
const ranged = z.object({ header, kvs: z.array(keyValue).default([]) });
const transacted = z.object({ header, succeeded: z.boolean().default(false) });
const granted = z.object({ ID: z.string() });
const keptAlive = z.object({ result: z.object({ TTL: z.string().default('0') }) });

type Stored = { record: string | undefined; version: string; token: string; revision: string };
type Comparison = {
  key: string;
  target: 'MOD' | 'VALUE';
  /** Equal, when it is left out. */
  result?: 'LESS';
  mod_revision?: string;
  value?: string;
};

/**
 * A lease in etcd v3: `KEY/record`, which stays, and `KEY/holder` with the token, which hangs on a lease of etcd's.
 *
 * etcd ends leases in whole seconds and up to a second late. So a client also counts a hold as over when it has seen neither
 * key change for the TTL, by its own monotonic clock from when it *received* the last change. That is safe: every renewal
 * changes the record; the client received it after etcd wrote it, which was after the holder's call began, from when the
 * holder counts; and the takeover is one transaction on both keys' revisions, which a renewal in between makes fail. A clock
 * that stands still, as in a suspended machine, only makes the client wait longer. etcd's own lease is for who comes later and
 * has seen nothing.
 */
export class EtcdLease implements Lease {
  readonly ttlMs: number;
  readonly #etcd: EtcdClient;
  readonly #recordKey: string;
  readonly #holderKey: string;
  readonly #candidatesKey: string;
  #observed = { version: '', token: '', sinceMs: 0 };
  #candidateLease: string | undefined;

  constructor({ url, key, ttlMs }: EtcdLeaseOptions) {
    this.ttlMs = ttlMs;
    this.#etcd = new EtcdClient(url);
    this.#recordKey = `${key}/record`;
    this.#holderKey = `${key}/holder`;
    this.#candidatesKey = `${key}/candidates/`;
  }

  async read(signal: AbortSignal): Promise<LeaseState> {
    return this.#state(await this.#load(this.#inTime(signal)));
  }

  async acquire(seen: LeaseState, record: LeaseRecord, signal: AbortSignal): Promise<LeaseToken | undefined> {
    if (this.#isHeld(seen.version)) return undefined;
    const inTime = this.#inTime(signal);
    const etcdLease = await this.#grant(this.ttlMs + etcdLeaseSpareMs, inTime);
    const token = `${randomUUID()}.${etcdLease}` as LeaseToken;
    const writes = [put(this.#recordKey, encodeRecord(record)), put(this.#holderKey, token, etcdLease)];
    const revision = await this.#transact(this.#asSeen(seen), writes, inTime);
    if (revision === undefined) return undefined;
    this.#observe(revision, revision, token);
    return token;
  }

  async renew(token: LeaseToken, record: LeaseRecord, signal: AbortSignal): Promise<boolean> {
    const inTime = this.#inTime(signal);
    const etcdLease = etcdLeaseOf(token);
    if (etcdLease === undefined || (await this.#isKnownOver(token, inTime))) return false;
    // First, so that a renewal that succeeds has time before it at etcd too.
    if (!(await this.#keepAlive(etcdLease, inTime))) return false;
    const revision = await this.#transact(
      [this.#isHolder(token), this.#isNoOlder(record)],
      [put(this.#recordKey, encodeRecord(record))],
      inTime,
    );
    if (revision === undefined) return false;
    const holderRevision = this.#observed.token === token ? revisionsOf(this.#observed.version).holder : '';
    this.#observe(revision, holderRevision, token);
    return true;
  }

  async release(token: LeaseToken, record: LeaseRecord, signal: AbortSignal): Promise<boolean> {
    const inTime = this.#inTime(signal);
    if (etcdLeaseOf(token) === undefined || (await this.#isKnownOver(token, inTime))) return false;
    const writes = [put(this.#recordKey, encodeRecord(record)), remove(this.#holderKey)];
    return (
      (await this.#transact([this.#isHolder(token), this.#isNoOlder(record)], writes, inTime)) !== undefined
    );
  }

  async amend(seen: LeaseState, record: LeaseRecord, signal: AbortSignal): Promise<boolean> {
    if (this.#isHeld(seen.version)) return false;
    // The holder's key may be there still: the new record would otherwise seem to be a renewal of its hold.
    const writes = [put(this.#recordKey, encodeRecord(record)), remove(this.#holderKey)];
    return (await this.#transact(this.#asSeen(seen), writes, this.#inTime(signal))) !== undefined;
  }

  async changed(seen: LeaseState, signal: AbortSignal): Promise<void> {
    const limitMs = monotonicMs() + this.ttlMs;
    try {
      const { version, revision } = await this.#load(this.#inTime(signal));
      const isHeld = this.#isHeld(version);
      if (version !== seen.version || isHeld !== seen.isHeld) return;
      const endMs = isHeld ? Math.min(limitMs, this.#observed.sinceMs + this.ttlMs) : limitMs;
      const timeout = AbortSignal.timeout(Math.max(1, Math.ceil(endMs - monotonicMs()) + 1));
      // The keys of the candidates lie before both.
      const [from, to] = [encode(this.#holderKey), encode(`${this.#recordKey}\0`)];
      const next = String(BigInt(revision) + 1n);
      await this.#etcd.watch(from, to, next, AbortSignal.any([signal, timeout])).catch((error) => {
        if (!timeout.aborted) throw error;
      });
    } catch {
      // The read that follows says what is wrong; the pause keeps the two from spinning.
      await sleep(Math.min(failurePauseMs, limitMs - monotonicMs()), signal);
    }
  }

  async announce(told: Announcement, signal: AbortSignal): Promise<void> {
    const inTime = this.#inTime(signal);
    const known = this.#candidateLease;
    if (known === undefined || !(await this.#keepAlive(known, inTime))) {
      this.#candidateLease = await this.#grant(announcementTtlMs(this.ttlMs), inTime);
    }
    const write = put(this.#candidatesKey + told.node, encodeAnnouncement(told), this.#candidateLease);
    await this.#transact([], [write], inTime);
  }

  async announcements(signal: AbortSignal): Promise<Announcement[]> {
    // `0` follows `/`, so that this is everything that begins with the key.
    const range = {
      key: encode(this.#candidatesKey),
      range_end: encode(this.#candidatesKey.replace(/\/$/, '0')),
    };
    const { kvs } = await this.#etcd.call('/v3/kv/range', range, ranged, this.#inTime(signal));
    return kvs.map(({ value }) => decodeAnnouncement(decode(value)));
  }

  async close(): Promise<void> {
    this.#etcd.close();
  }

  #inTime(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, AbortSignal.timeout(leaseTimeoutMs(this.ttlMs))]);
  }

  async #load(signal: AbortSignal): Promise<Stored> {
    const range = { key: encode(this.#holderKey), range_end: encode(`${this.#recordKey}\0`) };
    const answer = await this.#etcd.call('/v3/kv/range', range, ranged, signal);
    const find = (key: string) => answer.kvs.find((kv) => kv.key === encode(key));
    const [record, holder] = [find(this.#recordKey), find(this.#holderKey)];
    const token = holder === undefined ? '' : decode(holder.value);
    const version = this.#observe(record?.mod_revision ?? '0', holder?.mod_revision ?? '0', token);
    return { record: record && decode(record.value), version, token, revision: answer.header.revision };
  }

  #state({ record, version }: Stored): LeaseState {
    return {
      record: record === undefined ? undefined : decodeRecord(record),
      isHeld: this.#isHeld(version),
      version,
    };
  }

  /** The version of what lies there. A store that was emptied counts its revisions anew, so the token is in it, hashed. */
  #observe(recordRevision: string, holderRevision: string, token: string): string {
    const mark = token === '' ? '' : createHash('sha256').update(token).digest('hex').slice(0, 16);
    const version = `${recordRevision}.${holderRevision}.${mark}`;
    if (version !== this.#observed.version) this.#observed = { version, token, sinceMs: monotonicMs() };
    return version;
  }

  /** Held, for all that this client knows; it knows nothing of versions but the last that it received. */
  #isHeld(version: string): boolean {
    if (revisionsOf(version).holder === '0') return false;
    return version !== this.#observed.version || monotonicMs() - this.#observed.sinceMs < this.ttlMs;
  }

  /** Whether this client has watched the hold end. Others may have renewed it since, so it looks again before it says so. */
  async #isKnownOver(token: LeaseToken, signal: AbortSignal): Promise<boolean> {
    if (this.#observed.token !== token || this.#isHeld(this.#observed.version)) return false;
    const now = await this.#load(signal);
    return now.token !== token || !this.#isHeld(now.version);
  }

  #asSeen({ version }: LeaseState): Comparison[] {
    const { record, holder } = revisionsOf(version);
    return [
      { key: encode(this.#recordKey), target: 'MOD', mod_revision: record },
      { key: encode(this.#holderKey), target: 'MOD', mod_revision: holder },
    ];
  }

  #isHolder(token: LeaseToken): Comparison {
    return { key: encode(this.#holderKey), target: 'VALUE', value: encode(token) };
  }

  #isNoOlder(record: LeaseRecord): Comparison {
    return {
      key: encode(this.#recordKey),
      target: 'VALUE',
      result: 'LESS',
      value: encode(boundAbove(record)),
    };
  }

  /** The revision that the writes have got; undefined when a comparison failed. */
  async #transact(
    compare: Comparison[],
    success: object[],
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const answer = await this.#etcd.call('/v3/kv/txn', { compare, success }, transacted, signal);
    return answer.succeeded ? answer.header.revision : undefined;
  }

  async #grant(lifeMs: number, signal: AbortSignal): Promise<string> {
    const body = { TTL: String(Math.ceil(lifeMs / 1000)) };
    return (await this.#etcd.call('/v3/lease/grant', body, granted, signal)).ID;
  }

  /** False when the lease has ended. */
  async #keepAlive(etcdLease: string, signal: AbortSignal): Promise<boolean> {
    const { result } = await this.#etcd.call('/v3/lease/keepalive', { ID: etcdLease }, keptAlive, signal);
    return result.TTL !== '0';
  }
}

function revisionsOf(version: string): { record: string; holder: string } {
  const [record = '0', holder = '0'] = version.split('.');
  return { record, holder };
}

/** A token names the lease in etcd too, so that whoever is given it can keep it alive. */
function etcdLeaseOf(token: LeaseToken): string | undefined {
  return /^[0-9a-f-]{36}\.(\d{1,20})$/.exec(token)?.[1];
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64');
}

function decode(text: string): string {
  return Buffer.from(text, 'base64').toString();
}

function put(key: string, value: string, lease = '0'): object {
  return { request_put: { key: encode(key), value: encode(value), lease } };
}

function remove(key: string): object {
  return { request_delete_range: { key: encode(key) } };
}
