import { randomUUID } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { bootClockMs, bootClockStepMs, monotonicMs } from '../base/clock.ts';
import { messageOf, SkeinError, systemCodeOf } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';
import { platformByteLocks } from '../sqlite/byte-locks.ts';
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

export type FileLeaseOptions = {
  /** Made when it is missing. Local to the machine: other machines' locks and clocks mean nothing here. */
  readonly directory: string;
  readonly ttlMs: number;
};

const leaseFile = 'lease.json';
const candidatesFile = 'candidates.json';
const lockFile = 'lock';
const lockRetryMs = 1;

/** A time on the boot clock of one start of the machine: after the next start it is over. */
const deadline = z.object({ bootId: z.string(), untilMs: z.number() });
const keptLease = z.object({
  version: z.string().min(1),
  /** As `encodeRecord` made it. */
  record: z.string(),
  hold: deadline.extend({ token: z.string() }).nullable(),
});
const keptCandidates = z.record(z.string(), deadline.extend({ told: z.string() }));

type KeptLease = z.output<typeof keptLease>;
type KeptCandidates = z.output<typeof keptCandidates>;
type Deadline = z.output<typeof deadline>;

/**
 * A lease for nodes on one machine: files in a directory. Whoever changes one holds a byte lock on `lock` meanwhile, which the
 * system lets go when the process dies; a change is a rename, so that readers need no lock and a crash leaves the old state.
 *
 * Changes are not synced, which would make a handoff wait for the disk. What a power cut takes back, it takes from all nodes,
 * none of which outlives it; a file that it cut short is refused as `LEASE_RECORD_INVALID`.
 */
export class FileLease implements Lease {
  readonly ttlMs: number;
  readonly #directory: string;
  readonly #locks = platformByteLocks();
  readonly #bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

  constructor({ directory, ttlMs }: FileLeaseOptions) {
    this.#directory = directory;
    this.ttlMs = ttlMs;
  }

  async read(signal: AbortSignal): Promise<LeaseState> {
    if (signal.aborted) throw this.#unreachable('the wait for it was given up');
    return this.#state(this.#load());
  }

  async acquire(seen: LeaseState, record: LeaseRecord, signal: AbortSignal): Promise<LeaseToken | undefined> {
    const token = randomUUID() as string as LeaseToken;
    const isTaken = await this.#change(signal, () => {
      if (!this.#isFreeAsSeen(seen)) return false;
      this.#store(record, { token, ...this.#after(this.ttlMs) });
      return true;
    });
    return isTaken ? token : undefined;
  }

  renew(token: LeaseToken, record: LeaseRecord, signal: AbortSignal): Promise<boolean> {
    return this.#change(signal, () => {
      if (!this.#isHeldBy(token, record)) return false;
      this.#store(record, { token, ...this.#after(this.ttlMs) });
      return true;
    });
  }

  release(token: LeaseToken, record: LeaseRecord, signal: AbortSignal): Promise<boolean> {
    return this.#change(signal, () => {
      if (!this.#isHeldBy(token, record)) return false;
      this.#store(record, null);
      return true;
    });
  }

  amend(seen: LeaseState, record: LeaseRecord, signal: AbortSignal): Promise<boolean> {
    return this.#change(signal, () => {
      if (!this.#isFreeAsSeen(seen)) return false;
      this.#store(record, null);
      return true;
    });
  }

  async changed(seen: LeaseState, signal: AbortSignal): Promise<void> {
    const startMs = monotonicMs();
    while (!signal.aborted && monotonicMs() - startMs < this.ttlMs) {
      const written = new AbortController();
      // Watching begins before the look, so that no write falls between the two.
      const watcher = this.#watch(() => written.abort());
      try {
        const kept = this.#load();
        const { version, isHeld } = this.#state(kept);
        if (version !== seen.version || isHeld !== seen.isHeld) return;
        // A watch may see nothing, of a directory that is made later for one: so there is a look every quarter.
        const endMs = isHeld && kept?.hold ? kept.hold.untilMs - bootClockMs() : this.ttlMs;
        await sleep(Math.max(1, Math.min(endMs, this.ttlMs / 4)), AbortSignal.any([signal, written.signal]));
      } catch {
        // The read that follows says what is wrong.
        return;
      } finally {
        watcher?.close();
      }
    }
  }

  async announce(told: Announcement, signal: AbortSignal): Promise<void> {
    await this.#change(signal, () => {
      const candidates = this.#candidates();
      candidates[told.node] = {
        told: encodeAnnouncement(told),
        ...this.#after(announcementTtlMs(this.ttlMs)),
      };
      this.#write(candidatesFile, JSON.stringify(candidates));
    });
  }

  async announcements(signal: AbortSignal): Promise<Announcement[]> {
    if (signal.aborted) throw this.#unreachable('the wait for it was given up');
    return Object.values(this.#candidates()).map(({ told }) => decodeAnnouncement(told));
  }

  async close(): Promise<void> {}

  #after(ms: number): Deadline {
    return { bootId: this.#bootId, untilMs: bootClockMs() + bootClockStepMs + ms };
  }

  #isOver({ bootId, untilMs }: Deadline): boolean {
    return bootId !== this.#bootId || bootClockMs() >= untilMs;
  }

  #state(kept: KeptLease | undefined): LeaseState {
    if (kept === undefined) return { record: undefined, isHeld: false, version: '' };
    const isHeld = kept.hold !== null && !this.#isOver(kept.hold);
    return { record: decodeRecord(kept.record), isHeld, version: kept.version };
  }

  #isFreeAsSeen(seen: LeaseState): boolean {
    const { isHeld, version } = this.#state(this.#load());
    return !isHeld && version === seen.version;
  }

  /** Whether the hold is the token's, and the record that it wants to write no older than the one that is there. */
  #isHeldBy(token: LeaseToken, record: LeaseRecord): boolean {
    const kept = this.#load();
    if (!kept?.hold || kept.hold.token !== token || this.#isOver(kept.hold)) return false;
    return kept.record < boundAbove(record);
  }

  #load(): KeptLease | undefined {
    const text = this.#text(leaseFile);
    if (text === undefined) return undefined;
    try {
      return keptLease.parse(JSON.parse(text));
    } catch (cause) {
      throw new SkeinError(
        'LEASE_RECORD_INVALID',
        `${join(this.#directory, leaseFile)} is damaged, or not Skein's. Give [lease] path a directory that nothing else uses; if this one is right, stop all nodes and remove the file.`,
        { cause },
      );
    }
  }

  #store(record: LeaseRecord, hold: KeptLease['hold']): void {
    const kept: KeptLease = { version: randomUUID(), record: encodeRecord(record), hold };
    this.#write(leaseFile, JSON.stringify(kept));
  }

  /** Those whose time is not over. A damaged file holds none: all of them will be told again soon. */
  #candidates(): KeptCandidates {
    const text = this.#text(candidatesFile);
    if (text === undefined) return {};
    let kept: KeptCandidates;
    try {
      kept = keptCandidates.parse(JSON.parse(text));
    } catch {
      return {};
    }
    return Object.fromEntries(Object.entries(kept).filter(([, candidate]) => !this.#isOver(candidate)));
  }

  #text(file: string): string | undefined {
    try {
      return readFileSync(join(this.#directory, file), 'utf8');
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return undefined;
      throw this.#unreachable(messageOf(error), error);
    }
  }

  #write(file: string, text: string): void {
    const path = join(this.#directory, file);
    writeFileSync(`${path}.new`, text, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  #watch(listener: () => void): { close(): void } | undefined {
    try {
      const watcher = watch(this.#directory, (_event, name) => {
        if (name === leaseFile) listener();
      });
      watcher.on('error', () => undefined);
      return watcher;
    } catch {
      return undefined;
    }
  }

  /** Runs `change` alone among all processes. It takes microseconds, so that waiting for others means trying again soon. */
  async #change<Result>(signal: AbortSignal, change: () => Result): Promise<Result> {
    const deadlineMs = monotonicMs() + leaseTimeoutMs(this.ttlMs);
    for (;;) {
      if (signal.aborted) throw this.#unreachable('the wait for it was given up');
      const outcome = this.#tryChange(change);
      if (outcome !== undefined) return outcome.result;
      if (monotonicMs() >= deadlineMs) throw this.#unreachable(`another process keeps ${lockFile} locked`);
      await sleep(lockRetryMs, signal);
    }
  }

  #tryChange<Result>(change: () => Result): { result: Result } | undefined {
    const path = join(this.#directory, lockFile);
    let fileDescriptor: number | undefined;
    try {
      fileDescriptor = this.#openLock(path);
      if (!this.#locks.tryExclusive(fileDescriptor, 0)) return undefined;
      // Somebody may have emptied the directory meanwhile: a lock on a file that is gone excludes nobody.
      if (fstatSync(fileDescriptor).ino !== statSync(path).ino) return undefined;
      return { result: change() };
    } catch (error) {
      if (error instanceof SkeinError) throw error;
      throw this.#unreachable(messageOf(error), error);
    } finally {
      // This lets go of the lock too.
      if (fileDescriptor !== undefined) closeSync(fileDescriptor);
    }
  }

  #openLock(path: string): number {
    try {
      return openSync(path, 'a+', 0o600);
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT') throw error;
      mkdirSync(this.#directory, { recursive: true });
      return openSync(path, 'a+', 0o600);
    }
  }

  #unreachable(why: string, cause?: unknown): SkeinError {
    return new SkeinError(
      'LEASE_UNREACHABLE',
      `The lease in ${this.#directory} cannot be used: ${why}. Look whether the directory is there and this user may write to it.`,
      { cause },
    );
  }
}
