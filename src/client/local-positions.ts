import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeEvent } from './node-events.ts';
import type { Session } from './position-text.ts';

const suffix = '-pos';
const positionBytes = 33;
const positionPattern = /^([0-9a-f]{16})\/[0-9a-f]{16}$/;
/** A list of names that is asked for again within this time is not read again. */
const namesKeptMs = 500;

/** The positions that the node writes beside its databases, read without asking it. */
export class LocalPositions {
  readonly #directory: string;
  readonly #buffer = Buffer.alloc(positionBytes);
  /** What each had at least, when it was last looked at. */
  readonly #known = new Map<string, number>();
  #chainEpoch = 0;
  #isHearing = false;
  #names: readonly string[] = [];
  #namesReadMs = Number.NEGATIVE_INFINITY;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Names of the databases, as of half a second ago at the oldest. */
  names(): readonly string[] {
    const nowMs = performance.now();
    if (nowMs - this.#namesReadMs > namesKeptMs) {
      this.#namesReadMs = nowMs;
      const files = readdirSync(this.#directory).filter((file) => file.endsWith(suffix));
      this.#names = files.map((file) => file.slice(0, -suffix.length));
    }
    return this.#names;
  }

  /** What the node says that there is: it may be newer than the list. */
  takeNames(names: Iterable<string>): void {
    this.#names = [...new Set([...this.names(), ...names])];
  }

  /** `TXID/checksum`; undefined for a database that is not here. */
  text(database: string): string | undefined {
    if (database.includes('/')) return undefined;
    let file: number | undefined;
    try {
      // Opened each time: a database that was deleted and made anew has another file.
      file = openSync(join(this.#directory, database + suffix), 'r');
      const length = readSync(file, this.#buffer, 0, positionBytes, 0);
      const text = this.#buffer.toString('latin1', 0, length);
      return positionPattern.test(text) ? text : undefined;
    } catch {
      return undefined;
    } finally {
      if (file !== undefined) closeSync(file);
    }
  }

  txid(database: string): number | undefined {
    const text = this.text(database);
    return text === undefined ? undefined : Number.parseInt(text.slice(0, 16), 16);
  }

  /** Of all databases. */
  txids(): Map<string, number> {
    const found = new Map<string, number>();
    for (const name of this.names()) {
      const txid = this.txid(name);
      if (txid !== undefined) found.set(name, txid);
    }
    return found;
  }

  /** Of the last primary whose chain all databases here were seen to follow; 0 until the node was asked. */
  get chainEpoch(): number {
    return this.#chainEpoch;
  }

  /** What the node says of that, all of whose databases are on the chain by then. It never goes back. */
  takeChainEpoch(epoch: number): void {
    if (epoch <= this.#chainEpoch) return;
    this.#chainEpoch = epoch;
    // The event that says so may come later than this answer.
    this.#known.clear();
  }

  /** Whether this node has come so far, on the chain of that epoch or of a later one. A database that is not here has not. */
  hasReached({ epoch, txids }: Session): boolean {
    if (this.#chainEpoch < epoch) return false;
    for (const [name, txid] of txids) {
      if (this.#isHearing && (this.#known.get(name) ?? -1) >= txid) continue;
      const now = this.txid(name);
      if (now === undefined || now < txid) return false;
      this.#known.set(name, now);
    }
    return true;
  }

  /** What is known stays true while the node follows one primary: a position goes back only where that changes. */
  heard(event: NodeEvent): void {
    this.#isHearing = true;
    if (event.type !== 'tx') this.#known.clear();
  }
}
