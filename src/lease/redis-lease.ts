import { randomUUID } from 'node:crypto';
import { ErrorReply, RedisClient } from '@redis/client';
import { z } from 'zod';
import { messageOf, SkeinError } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';
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
import {
  announcementsScript,
  announceScript,
  readScript,
  writeFreeScript,
  writeHeldScript,
} from './redis-scripts.ts';

export type RedisLeaseOptions = {
  /** `redis://` or `rediss://`, with user, password and database number where there are any. */
  readonly url: string;
  /** What the names of the keys begin with. */
  readonly key: string;
  readonly ttlMs: number;
};

/** Made once: it builds a class of all commands, which takes tens of milliseconds, and `createClient` does so for each address. */
const newClient = RedisClient.factory();
type Client = ReturnType<typeof newClient>;
type Found = { readonly state: LeaseState; readonly text: string | null; readonly holdMs: number };

/** A write is told by a message and the end of a hold is foreseen; this is for a message that did not come. */
const pollMsMax = 1_000;

const readReply = z.tuple([z.string().nullable(), z.string().nullable(), z.number()]);
const writeReply = z.union([z.literal(0), z.literal(1)]);

/**
 * The lease in one Redis, 6 or later: a record that stays and a key with a TTL that stands for the hold. What it promises is
 * what that one server keeps: a server that restarts without its data has neither record nor hold.
 */
export class RedisLease implements Lease {
  readonly ttlMs: number;
  readonly #url: string;
  /** The address without user and password, for messages. */
  readonly #server: string;
  readonly #keys: string[];
  readonly #announcementsKey: string;
  readonly #channel: string;
  readonly #waiting = new Set<AbortController>();
  readonly #closed = new AbortController();
  #client: Client | undefined;
  #connection: Promise<Client> | undefined;

  /** Connects at the first call. Throws `CONFIG_INVALID` when the address is none of Redis. */
  constructor({ url, key, ttlMs }: RedisLeaseOptions) {
    this.ttlMs = ttlMs;
    this.#url = url;
    this.#server = serverOf(url);
    // The braces put all keys into one slot of a cluster.
    const prefix = `{${key}}`;
    this.#channel = `${prefix}:changed`;
    this.#keys = [`${prefix}:record`, `${prefix}:holder`, this.#channel];
    this.#announcementsKey = `${prefix}:announcements`;
  }

  async read(signal: AbortSignal): Promise<LeaseState> {
    const { state, text } = await this.#look(signal);
    return text === null ? state : { ...state, record: decodeRecord(text) };
  }

  async acquire(seen: LeaseState, record: LeaseRecord, signal: AbortSignal): Promise<LeaseToken | undefined> {
    const token = randomUUID() as string as LeaseToken;
    const isTaken = await this.#write(
      writeFreeScript,
      record,
      [seen.version, token, `${this.ttlMs}`],
      signal,
    );
    return isTaken ? token : undefined;
  }

  renew(token: LeaseToken, record: LeaseRecord, signal: AbortSignal): Promise<boolean> {
    return this.#write(writeHeldScript, record, [token, boundAbove(record), `${this.ttlMs}`], signal);
  }

  release(token: LeaseToken, record: LeaseRecord, signal: AbortSignal): Promise<boolean> {
    return this.#write(writeHeldScript, record, [token, boundAbove(record)], signal);
  }

  amend(seen: LeaseState, record: LeaseRecord, signal: AbortSignal): Promise<boolean> {
    return this.#write(writeFreeScript, record, [seen.version], signal);
  }

  async changed(seen: LeaseState, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    // Before the read: a write between the two must not be missed.
    this.#waiting.add(woken);
    try {
      const { state, holdMs } = await this.#look(signal);
      if (state.version !== seen.version || state.isHeld !== seen.isHeld) return;
      await sleep(Math.min(this.#pollMs, holdMs + 1), AbortSignal.any([signal, woken.signal]));
    } catch {
      // A caller that asks again at once does not spin on a store that is away.
      await sleep(this.#pollMs, AbortSignal.any([signal, this.#closed.signal]));
    } finally {
      this.#waiting.delete(woken);
    }
  }

  async announce(told: Announcement, signal: AbortSignal): Promise<void> {
    const forMs = announcementTtlMs(this.ttlMs);
    const about = [told.node, encodeAnnouncement(told), `${forMs}`];
    await this.#run(announceScript, [this.#announcementsKey], about, writeReply, signal);
  }

  async announcements(signal: AbortSignal): Promise<Announcement[]> {
    const texts = await this.#run(
      announcementsScript,
      [this.#announcementsKey],
      [],
      z.array(z.string()),
      signal,
    );
    return texts.map(decodeAnnouncement);
  }

  async close(): Promise<void> {
    this.#closed.abort();
    if (this.#client !== undefined) this.#drop(this.#client);
  }

  get #pollMs(): number {
    return Math.min(pollMsMax, this.ttlMs / 4);
  }

  async #look(signal: AbortSignal): Promise<Found> {
    const [version, text, pttl] = await this.#run(readScript, this.#keys, [], readReply, signal);
    // -2 stands for no hold; -1 would be one without an end, which this class never writes.
    const isHeld = pttl !== -2;
    const holdMs = pttl < 0 ? Number.POSITIVE_INFINITY : pttl;
    return { state: { record: undefined, isHeld, version: version ?? '' }, text, holdMs };
  }

  async #write(script: string, record: LeaseRecord, rest: string[], signal: AbortSignal): Promise<boolean> {
    const given = [randomUUID(), encodeRecord(record), ...rest];
    return (await this.#run(script, this.#keys, given, writeReply, signal)) === 1;
  }

  async #run<T>(
    script: string,
    keys: string[],
    given: string[],
    reply: z.ZodType<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const timeoutMs = leaseTimeoutMs(this.ttlMs);
    const timeout = AbortSignal.timeout(timeoutMs);
    const stop = AbortSignal.any([signal, timeout]);
    const stopped = Promise.withResolvers<never>();
    // An answer that lies in the socket already, while this process was late, still counts.
    const onStop = () => setImmediate(() => stopped.reject(stop.reason));
    stop.addEventListener('abort', onStop, { once: true });
    try {
      stop.throwIfAborted();
      const answer = this.#connect().then((client) => client.eval(script, { keys, arguments: given }));
      return reply.parse(await Promise.race([answer, stopped.promise]));
    } catch (error) {
      if (error !== stop.reason) throw this.#failure(error);
      if (signal.aborted) throw this.#unreachable('was not waited for', error);
      // A connection that is silent may stay so for minutes: the next call gets a new one.
      if (this.#client !== undefined) this.#drop(this.#client);
      throw this.#unreachable(`did not answer within ${timeoutMs} ms`, error);
    } finally {
      stop.removeEventListener('abort', onStop);
    }
  }

  #connect(): Promise<Client> {
    this.#connection ??= this.#open();
    return this.#connection;
  }

  /** No reconnecting of the client's own and no queue: a command that could run late, after its caller gave up, is refused. */
  async #open(): Promise<Client> {
    if (this.#closed.signal.aborted) throw new Error('this lease is closed');
    const client = newClient({
      url: this.#url,
      socket: { reconnectStrategy: false, connectTimeout: leaseTimeoutMs(this.ttlMs) },
      disableOfflineQueue: true,
      disableClientInfo: true,
      maintNotifications: 'disabled',
    });
    this.#client = client;
    client.on('error', () => this.#drop(client));
    try {
      await client.connect();
      await client.subscribe(this.#channel, () => this.#wake());
      return client;
    } catch (error) {
      this.#drop(client);
      throw error;
    }
  }

  #drop(client: Client): void {
    if (client !== this.#client) return;
    this.#client = undefined;
    this.#connection = undefined;
    if (client.isOpen) client.destroy();
    this.#wake();
  }

  #wake(): void {
    for (const woken of this.#waiting) woken.abort();
  }

  #failure(error: unknown): SkeinError {
    if (error instanceof ErrorReply && error.message.startsWith('WRONGTYPE')) {
      const what = `Something else lies in ${this.#server} under the key of the lease.`;
      const advice = 'Give [lease] key a name that nothing else uses.';
      return new SkeinError('LEASE_RECORD_INVALID', `${what} ${advice}`, { cause: error });
    }
    return this.#unreachable(`failed: ${messageOf(error)}`, error);
  }

  #unreachable(what: string, cause: unknown): SkeinError {
    const advice = 'Check that it runs and that [lease] url names it.';
    return new SkeinError('LEASE_UNREACHABLE', `The lease store at ${this.#server} ${what}. ${advice}`, {
      cause,
    });
  }
}

/** The address without its secrets. */
function serverOf(url: string): string {
  const parsed = URL.parse(url);
  const isRedis =
    parsed !== null && ['redis:', 'rediss:'].includes(parsed.protocol) && parsed.hostname !== '';
  if (isRedis && /^(\/\d*)?$/.test(parsed.pathname) && isDecodable(parsed)) {
    return `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
  }
  throw new SkeinError(
    'CONFIG_INVALID',
    '[lease] url is no address of a Redis. Write redis://HOST:PORT or rediss://USER:PASSWORD@HOST:PORT/NUMBER.',
  );
}

function isDecodable({ username, password }: URL): boolean {
  try {
    decodeURIComponent(username + password);
    return true;
  } catch {
    return false;
  }
}
