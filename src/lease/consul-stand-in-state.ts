import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';

/** An entry as Consul's HTTP API shows it. */
export type Entry = {
  readonly Key: string;
  readonly Value: string | null;
  readonly Flags: number;
  readonly Session?: string;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
  readonly LockIndex: number;
};

export type Operation = {
  readonly Verb: string;
  readonly Key: string;
  readonly Value?: string;
  readonly Flags?: number;
  readonly Index?: number;
  readonly Session?: string;
};

export type Session = {
  readonly ID: string;
  readonly Name: string;
  readonly Node: string;
  readonly NodeChecks: readonly string[];
  readonly Behavior: 'release' | 'delete';
  readonly TTL: string;
  readonly ttlMs: number;
  readonly lockDelayMs: number;
};

export type Expiry = {
  /** Consul ends a session between one and two times its TTL after its last renewal. */
  readonly factor: number;
};

class Conflict extends Error {}

/**
 * What a Consul server keeps of its catalog, key-value store and sessions, by its documentation: every change raises one
 * index, a transaction changes all or nothing, and a session that ends releases or deletes what it locked.
 */
export class ConsulStandInState {
  readonly nodes = new Set<string>(['agent']);
  readonly sessions = new Map<string, Session>();
  entries = new Map<string, Entry>();
  index = 1;
  /** Transactions may not touch keys that begin with this: the token's rules do not let them. */
  denied: string | undefined;
  /** Emits 'change' after every change to the entries. */
  readonly changes = new EventEmitter().setMaxListeners(0);
  readonly #expiry: Expiry;
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #lockDelaysUntilMs = new Map<string, number>();

  constructor(expiry: Expiry) {
    this.#expiry = expiry;
  }

  /** Does all operations, or none and says why not. */
  transact(operations: readonly Operation[]): {
    results: Entry[];
    errors: { OpIndex: number; What: string }[];
  } {
    const entries = new Map(this.entries);
    const index = this.index + 1;
    const results: Entry[] = [];
    for (const [OpIndex, operation] of operations.entries()) {
      try {
        const result = this.#apply(entries, operation, index);
        if (result !== undefined) results.push(result);
      } catch (error) {
        if (error instanceof Conflict) return { results: [], errors: [{ OpIndex, What: error.message }] };
        throw error;
      }
    }
    this.#commit(entries, index);
    return { results, errors: [] };
  }

  addSession(session: Omit<Session, 'ID'>): string {
    const ID = randomUUID();
    this.index += 1;
    this.sessions.set(ID, { ...session, ID });
    this.renewSession(ID);
    return ID;
  }

  renewSession(id: string): Session | undefined {
    const session = this.sessions.get(id);
    if (session === undefined || session.ttlMs === 0) return session;
    clearTimeout(this.#timers.get(id));
    // A timer of Node.js may fire a millisecond early, a session never ends early.
    const timer = setTimeout(() => this.endSession(id), session.ttlMs * this.#expiry.factor + 2);
    this.#timers.set(id, timer);
    return session;
  }

  endSession(id: string): void {
    const session = this.sessions.get(id);
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
    if (session === undefined) return;
    this.sessions.delete(id);
    const entries = new Map(this.entries);
    const index = this.index + 1;
    for (const entry of this.entries.values()) {
      if (entry.Session !== id) continue;
      const { Session: _ended, ...free } = entry;
      if (session.Behavior === 'delete') entries.delete(entry.Key);
      else entries.set(entry.Key, { ...free, ModifyIndex: index });
      if (session.lockDelayMs > 0)
        this.#lockDelaysUntilMs.set(entry.Key, performance.now() + session.lockDelayMs);
    }
    this.#commit(entries, index);
  }

  /** As when the servers restart: sessions and entries stay, and TTLs begin anew. Nothing ends while it is stopped. */
  stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  start(): void {
    for (const id of this.sessions.keys()) this.renewSession(id);
  }

  #commit(entries: Map<string, Entry>, index: number): void {
    this.entries = entries;
    this.index = index;
    this.changes.emit('change');
  }

  #apply(entries: Map<string, Entry>, operation: Operation, index: number): Entry | undefined {
    const { Verb, Key } = operation;
    if (this.denied !== undefined && Key.startsWith(this.denied)) throw new Conflict('Permission denied');
    const existing = entries.get(Key);
    switch (Verb) {
      case 'set':
        return put(entries, operation, existing, index, existing?.Session);
      case 'cas':
        if ((existing?.ModifyIndex ?? 0) !== (operation.Index ?? 0)) {
          throw new Conflict(`failed to set key "${Key}", index is stale`);
        }
        return put(entries, operation, existing, index, existing?.Session);
      case 'lock':
        this.#checkLock(operation, existing);
        return put(entries, operation, existing, index, operation.Session);
      case 'unlock':
        if (existing === undefined || existing.Session !== operation.Session) {
          throw new Conflict(`failed to unlock key "${Key}", lock isn't held, or is held by another session`);
        }
        return put(entries, operation, existing, index, undefined);
      case 'check-session':
        if (existing === undefined) throw new Conflict(`failed to check session, key "${Key}" doesn't exist`);
        if (existing.Session === operation.Session) return existing;
        throw new Conflict(
          `failed session check for key "${Key}", current session "${existing.Session ?? ''}"`,
        );
      case 'check-index':
        if (existing === undefined) throw new Conflict(`failed to check index, key "${Key}" doesn't exist`);
        if (existing.ModifyIndex === operation.Index) return existing;
        throw new Conflict(
          `failed index check for key "${Key}", current modify index ${existing.ModifyIndex}`,
        );
      case 'delete':
        entries.delete(Key);
        return undefined;
      default:
        throw new Conflict(`unknown KV verb "${Verb}"`);
    }
  }

  #checkLock({ Key, Session }: Operation, existing: Entry | undefined): void {
    if (Session === undefined || Session === '') throw new Conflict('missing session');
    if (!this.sessions.has(Session)) throw new Conflict(`invalid session "${Session}"`);
    if ((this.#lockDelaysUntilMs.get(Key) ?? 0) > performance.now()) {
      throw new Conflict(`failed to lock key "${Key}" due to lock delay`);
    }
    if (existing?.Session !== undefined && existing.Session !== Session) {
      throw new Conflict(`failed to lock key "${Key}", lock is already held`);
    }
  }
}

function put(
  entries: Map<string, Entry>,
  { Key, Value: text, Flags = 0 }: Operation,
  existing: Entry | undefined,
  index: number,
  session: string | undefined,
): Entry {
  const Value = text || null;
  const isSame = existing?.Value === Value && existing.Flags === Flags && existing.Session === session;
  // Writing the same again changes nothing, the index included.
  if (existing !== undefined && isSame) return existing;
  const isNewLock = session !== undefined && session !== existing?.Session;
  const entry: Entry = {
    Key,
    Value,
    Flags,
    ...(session === undefined ? {} : { Session: session }),
    CreateIndex: existing?.CreateIndex ?? index,
    ModifyIndex: index,
    LockIndex: (existing?.LockIndex ?? 0) + (isNewLock ? 1 : 0),
  };
  entries.set(Key, entry);
  return entry;
}
