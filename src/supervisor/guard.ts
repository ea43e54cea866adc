import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Backoff } from '../base/backoff.ts';
import { messageOf, SkeinError } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';

const script = fileURLToPath(new URL('./guard.sh', import.meta.url));
/** The script ends by itself after 200 rounds at most; this is only for one that was stopped (SIGSTOP). */
const endWaitMs = 20_000;

type GuardEvent = (message: string, fields: Record<string, unknown>) => void;

/**
 * The small process that outlives the node, for an instant, to kill what the node started: it holds the read end of
 * a pipe, which the kernel closes however the node dies. `guard.sh` is what it runs. One for each node; when it dies
 * first, a new one takes over.
 */
export class Guard {
  /** In the environment of every child as the beginning of `SKEIN_GUARD`. */
  readonly #token = randomBytes(16).toString('hex');
  readonly #event: GuardEvent;
  readonly #groups = new Set<number>();
  readonly #backoff = new Backoff(10, 5000);
  readonly #stopped = new AbortController();
  #child: ChildProcess | undefined;
  #started: Promise<void> | undefined;
  #marksMade = 0;

  constructor(event: GuardEvent) {
    this.#event = event;
  }

  /** The process id of the guard, null while there is none. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** Resolves when the guard runs: to be awaited before any process starts. Rejects with PLATFORM_UNSUPPORTED. */
  start(): Promise<void> {
    this.#started ??= this.#spawn().catch((error: unknown) => {
      this.#started = undefined;
      throw error;
    });
    return this.#started;
  }

  /** A value of `SKEIN_GUARD` for one run of a process: the token, and what tells this run from all others. */
  newMark(): string {
    return `${this.#token}.${++this.#marksMade}.`;
  }

  /** From now on the process group dies with the node. */
  add(groupId: number): void {
    this.#groups.add(groupId);
    this.#tell(`add ${groupId}`);
  }

  /** The group is empty: its number may soon be another's. */
  remove(groupId: number): void {
    this.#groups.delete(groupId);
    this.#tell(`remove ${groupId}`);
  }

  /** Lets the guard do its work and waits for its end: afterwards nothing that was started here is left. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#started?.catch(() => undefined);
    const child = this.#child;
    if (child === undefined) return;
    const ended = once(child, 'exit');
    child.stdin?.end();
    const timer = setTimeout(() => child.kill('SIGKILL'), endWaitMs);
    await ended;
    clearTimeout(timer);
  }

  async #spawn(): Promise<void> {
    const child = spawn('/bin/sh', [script, this.#token], {
      // A session of its own: no signal of the terminal reaches it. No directory and no output of anybody's is held.
      detached: true,
      cwd: '/',
      stdio: ['pipe', 'ignore', 'ignore'],
      // Not the node's environment: inside another Skein's process, its guard would kill this one before its work.
      env: { PATH: process.env.PATH ?? '/usr/bin:/bin' },
    });
    // Writing to a guard that has just died; its end is handled below.
    child.stdin?.on('error', () => undefined);
    try {
      await once(child, 'spawn');
    } catch (cause) {
      throw new SkeinError(
        'PLATFORM_UNSUPPORTED',
        `The guard of the app's processes cannot start (${messageOf(cause)}). Skein needs a POSIX shell at /bin/sh and room for one more process.`,
        { cause },
      );
    }
    this.#child = child;
    child.once('exit', () => {
      this.#child = undefined;
      // Whoever awaits start() from now on waits for the new one.
      this.#started = this.#replace();
    });
    for (const groupId of this.#groups) this.#tell(`add ${groupId}`);
  }

  /** Goes on until a guard runs again: without one, processes would outlive a killed node. */
  async #replace(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      this.#event('the guard of the processes ended and is started anew', {});
      await sleep(this.#backoff.nextMs(), this.#stopped.signal);
      if (this.#stopped.signal.aborted) return;
      try {
        return await this.#spawn();
      } catch (error) {
        this.#event('the guard of the processes cannot start', { error: messageOf(error) });
      }
    }
  }

  #tell(line: string): void {
    if (this.#child?.stdin?.writable) this.#child.stdin.write(`${line}\n`);
  }
}
