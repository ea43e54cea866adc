import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { SkeinError, systemCodeOf } from '../base/errors.ts';
import { decodeRecord, encodeRecord, type LeaseRecord } from './lease-record.ts';

/** What a node knows of its own past after a restart. */
export type Lineage = {
  /** The epoch of the last leader whose chain all databases here were seen to follow; 0 for none. */
  readonly epoch: number;
  /** How the databases were written last: it decides how they are proven. */
  readonly role: 'primary' | 'replica' | undefined;
  /** The newest lease record seen: what is known of the lease when its store was emptied. */
  readonly record: LeaseRecord | undefined;
};

/** What is there already is not allocated again, so that it can be written on a full disk. */
const blockBytes = 4_096;

const none: Lineage = { epoch: 0, role: undefined, record: undefined };

/** `.skein/lineage`: JSON, and blanks up to a whole block. */
export class LineageFile {
  readonly #path: string | undefined;
  #lineage: Lineage;

  /**
   * A file that is damaged counts as none: the node has no past then, and cannot win over one that has. Without a path
   * nothing outlives the process.
   */
  constructor(path: string | undefined) {
    this.#path = path;
    this.#lineage = path === undefined ? none : read(path);
  }

  get lineage(): Lineage {
    return this.#lineage;
  }

  /** Throws the system's error, and has changed nothing then. */
  update(change: Partial<Lineage>): void {
    const lineage = { ...this.#lineage, ...change };
    const { epoch, role, record } = lineage;
    const text = JSON.stringify({ epoch, role, record: record && JSON.parse(encodeRecord(record)) });
    if (text === encode(this.#lineage)) return;
    if (this.#path !== undefined) replaceText(this.#path, text);
    this.#lineage = lineage;
  }
}

/**
 * In place and not synced, since it lies on the way of a handoff: one write, which no kill cuts in two. After a power cut it
 * may be an older text, or damaged, and the node takes itself for one that has less than it has.
 */
function replaceText(path: string, text: string): void {
  const bytes = Buffer.from(text.padEnd(Math.ceil((text.length + 1) / blockBytes) * blockBytes));
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    writeSync(file, bytes, 0, bytes.length, 0);
    ftruncateSync(file, bytes.length);
  } finally {
    closeSync(file);
  }
}

function encode({ epoch, role, record }: Lineage): string {
  return JSON.stringify({ epoch, role, record });
}

function read(path: string): Lineage {
  try {
    const parsed: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof parsed !== 'object' || parsed === null) return none;
    const { epoch, role, record } = parsed as Record<string, unknown>;
    if (typeof epoch !== 'number' || !Number.isSafeInteger(epoch) || epoch < 0) return none;
    return {
      epoch,
      role: role === 'primary' || role === 'replica' ? role : undefined,
      record: record === undefined ? undefined : decodeRecord(JSON.stringify(record)),
    };
  } catch (error) {
    const isDamaged = error instanceof SkeinError || systemCodeOf(error) === undefined;
    if (!isDamaged && systemCodeOf(error) !== 'ENOENT') throw error;
    return none;
  }
}
