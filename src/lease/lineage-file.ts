import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
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

const none: Lineage = { epoch: 0, role: undefined, record: undefined };

/** `.skein/lineage`: one line of JSON, replaced as a whole. */
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

  /** On the disk when this returns. Throws the system's error, and has changed nothing then. */
  update(change: Partial<Lineage>): void {
    const lineage = { ...this.#lineage, ...change };
    const { epoch, role, record } = lineage;
    const text = JSON.stringify({ epoch, role, record: record && JSON.parse(encodeRecord(record)) });
    if (text === encode(this.#lineage)) return;
    if (this.#path !== undefined) replaceFile(this.#path, `${text}\n`);
    this.#lineage = lineage;
  }
}

function replaceFile(path: string, text: string): void {
  const temporary = `${path}.new`;
  const file = openSync(temporary, 'w');
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  const directory = openSync(dirname(path), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
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
