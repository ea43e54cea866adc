import { randomBytes } from 'node:crypto';
import { SkeinError } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';
import { ConsulClient, type ConsulEntry, type ConsulOperation } from './consul-client.ts';
import { announcementTtlMs, type Lease, type LeaseState, type LeaseToken, leaseTimeoutMs } from './lease.ts';
import {
  type Announcement,
  decodeAnnouncement,
  decodeRecord,
  encodeAnnouncement,
  encodeRecord,
  type LeaseRecord,
} from './lease-record.ts';

export type ConsulLeaseOptions = {
  /** `http[s]://[:TOKEN@]HOST:PORT[/PREFIX]`, as LiteFS has it. */
  readonly url: string;
  /** The record lies at `PREFIX/KEY`, announcements below `PREFIX/KEY/candidates`. */
  readonly key: string;
  /** Of the session. Consul takes 10 s to 24 h unless its `session_ttl_min` says less, and may end a session late. */
  readonly ttlMs: number;
  /** How long nobody may take the lease after its hold ended by itself; Consul wants more than 0. */
  readonly lockDelayMs?: number;
};

/** Consul waits up to this much longer than a query asks for, so that not all queries end at once. */
const waitJitter = 1 / 16;

/**
 * The lease in Consul: the record is one key, the hold is a session's lock on it, and the token is the session. Every
 * change is one transaction. A lock delay of next to nothing is safe here: Consul ends a session never before its TTL, and by
 * then its holder has stopped by its own clock.
 */
export class ConsulLease implements Lease {
  readonly ttlMs: number;
  readonly #client: ConsulClient;
  readonly #key: string;
  readonly #lockDelayMs: number;
  readonly #closed = new AbortController();
  /** The session under which this node announces itself: its key vanishes with it. */
  #announcing: string | undefined;

  /** Throws `CONFIG_INVALID` when the address is none of Consul. */
  constructor({ url, key, ttlMs, lockDelayMs = 1 }: ConsulLeaseOptions) {
    this.ttlMs = ttlMs;
    this.#client = new ConsulClient(url);
    this.#key = `${this.#client.prefix}${key}`;
    this.#lockDelayMs = lockDelayMs;
  }

  async read(signal: AbortSignal): Promise<LeaseState> {
    const { entry } = await this.#client.get(this.#key, this.#stop(signal));
    const state = stateOf(entry);
    return entry === undefined ? state : { ...state, record: decodeRecord(textOf(entry)) };
  }

  async acquire(seen: LeaseState, record: LeaseRecord, signal: AbortSignal): Promise<LeaseToken | undefined> {
    const stop = this.#stop(signal);
    const cas = await this.#cas(seen, record, stop);
    if (cas === undefined) return undefined;
    const times = { ttlMs: this.ttlMs, lockDelayMs: this.#lockDelayMs };
    const Session = await this.#client.createSession({ behavior: 'release', ...times }, stop);
    let isTaken = false;
    try {
      isTaken = await this.#client.transact([cas, { ...cas, Verb: 'lock', Session }], stop);
    } finally {
      // Also after a failure: what nobody knows of must not hold the lease for its TTL.
      if (!isTaken) void this.#destroy(Session);
    }
    return isTaken ? (Session as LeaseToken) : undefined;
  }

  async renew(token: LeaseToken, record: LeaseRecord, signal: AbortSignal): Promise<boolean> {
    if (!isSession(token)) return false;
    const stop = this.#stop(signal);
    // In this order: a record that was written is one of a hold that goes on.
    if (!(await this.#client.renewSession(token, stop))) return false;
    const isHolder: ConsulOperation = { Verb: 'check-session', Key: this.#key, Session: token };
    return this.#client.transact(
      [isHolder, { Verb: 'lock', Session: token, ...this.#written(record) }],
      stop,
    );
  }

  async release(token: LeaseToken, record: LeaseRecord, signal: AbortSignal): Promise<boolean> {
    if (!isSession(token)) return false;
    const unlock: ConsulOperation = { Verb: 'unlock', Session: token, ...this.#written(record) };
    const isReleased = await this.#client.transact([unlock], this.#stop(signal));
    // It locks nothing any more, so there is no lock delay.
    if (isReleased) void this.#destroy(token);
    return isReleased;
  }

  async amend(seen: LeaseState, record: LeaseRecord, signal: AbortSignal): Promise<boolean> {
    const stop = this.#stop(signal);
    const cas = await this.#cas(seen, record, stop);
    return cas !== undefined && (await this.#client.transact([cas], stop));
  }

  async changed(seen: LeaseState, signal: AbortSignal): Promise<void> {
    const waitMs = this.ttlMs / 2;
    try {
      const { entry, index } = await this.#client.get(this.#key, this.#stop(signal));
      const state = stateOf(entry);
      if (state.version !== seen.version || state.isHeld !== seen.isHeld) return;
      const stop = this.#stop(signal, waitMs * (1 + waitJitter) + leaseTimeoutMs(this.ttlMs));
      await this.#client.waitForChange(this.#key, index, waitMs, stop);
    } catch {
      // A caller that asks again at once does not spin on a store that is away.
      await sleep(leaseTimeoutMs(this.ttlMs), AbortSignal.any([signal, this.#closed.signal]));
    }
  }

  async announce(told: Announcement, signal: AbortSignal): Promise<void> {
    const stop = this.#stop(signal);
    const Value = Buffer.from(encodeAnnouncement(told)).toString('base64');
    if (this.#announcing === undefined || !(await this.#client.renewSession(this.#announcing, stop))) {
      const times = { ttlMs: announcementTtlMs(this.ttlMs), lockDelayMs: 1 };
      this.#announcing = await this.#client.createSession({ behavior: 'delete', ...times }, stop);
    }
    const Key = `${this.#candidatesKey}${encodeURIComponent(told.node)}`;
    // The key may still be locked by the session that this node had before a restart.
    const lock: ConsulOperation = { Verb: 'lock', Key, Value, Session: this.#announcing };
    if (await this.#client.transact([{ Verb: 'delete', Key }, lock], stop)) return;
    this.#announcing = undefined;
    const what = `Consul at ${this.#client.server} did not take the announcement of ${told.node}.`;
    throw new SkeinError('LEASE_UNREACHABLE', `${what} It is repeated by itself.`);
  }

  async announcements(signal: AbortSignal): Promise<Announcement[]> {
    const entries = await this.#client.list(this.#candidatesKey, this.#stop(signal));
    return entries.map((entry) => decodeAnnouncement(textOf(entry)));
  }

  async close(): Promise<void> {
    this.#closed.abort();
  }

  get #candidatesKey(): string {
    return `${this.#key}/candidates/`;
  }

  /** When calls end whose caller has `signal`. */
  #stop(signal: AbortSignal, timeoutMs: number = leaseTimeoutMs(this.ttlMs)): AbortSignal {
    return AbortSignal.any([signal, this.#closed.signal, AbortSignal.timeout(Math.ceil(timeoutMs))]);
  }

  /** The step that writes the record if the lease is free and as `seen`; undefined when it is not so now. */
  async #cas(seen: LeaseState, record: LeaseRecord, stop: AbortSignal): Promise<ConsulOperation | undefined> {
    const { entry } = await this.#client.get(this.#key, stop);
    const state = stateOf(entry);
    if (state.isHeld || state.version !== seen.version) return undefined;
    // Whoever takes the lease in between changes the index, also by the lock alone.
    return { Verb: 'cas', Index: entry?.ModifyIndex ?? 0, ...this.#written(record) };
  }

  #written(record: LeaseRecord): Required<Pick<ConsulOperation, 'Key' | 'Value' | 'Flags'>> {
    const Value = Buffer.from(encodeRecord(record)).toString('base64');
    return { Key: this.#key, Value, Flags: randomBytes(6).readUIntBE(0, 6) };
  }

  async #destroy(session: string): Promise<void> {
    const stop = this.#stop(this.#closed.signal);
    await this.#client.destroySession(session, stop).catch(() => undefined);
  }
}

/**
 * The flags are the version, drawn at random with every write. The index of the entry would not do: it stays when the same
 * is written again, changes when a hold ends, and begins anew in a store that was emptied.
 */
function stateOf(entry: ConsulEntry | undefined): LeaseState {
  if (entry === undefined) return { record: undefined, isHeld: false, version: '' };
  return { record: undefined, isHeld: entry.Session !== undefined, version: `${entry.Flags}` };
}

function textOf(entry: ConsulEntry): string {
  return Buffer.from(entry.Value ?? '', 'base64').toString();
}

/** Consul fails on a session that is no UUID, instead of finding none. */
function isSession(token: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(token);
}
