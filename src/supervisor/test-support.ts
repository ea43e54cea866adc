import { EventEmitter, once } from 'node:events';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { type ProcessSpec, Supervisor, type SupervisorOptions } from './supervisor.ts';

const waitMs = 10_000;

/** A supervisor for tests, with what it printed and reported. */
export class Watched {
  readonly supervisor: Supervisor;
  /** `name: text`, in the order of arrival. */
  readonly lines: string[] = [];
  readonly events: string[] = [];
  readonly #changed = new EventEmitter();

  constructor(processes: readonly ProcessSpec[], overrides: Partial<SupervisorOptions> = {}) {
    this.supervisor = new Supervisor({
      processes,
      environment: { PATH: process.env.PATH ?? '', PORT: '8080' },
      workingDirectory: tmpdir(),
      killSignal: 'SIGTERM',
      killTimeoutMs: 5000,
      output: (name, line) => {
        this.lines.push(`${name}: ${line}`);
        this.#changed.emit('change');
      },
      event: (message) => {
        this.events.push(message);
        this.#changed.emit('change');
      },
      ...overrides,
    });
  }

  /** The first line that matches, once it is there. */
  line(pattern: RegExp): Promise<string> {
    return this.#await(() => this.lines.find((line) => pattern.test(line)), `a line like ${pattern}`);
  }

  /** The number at the end of the first line `name: label NUMBER`. */
  async number(label: string): Promise<number> {
    return Number((await this.line(new RegExp(`: ${label} \\d+$`))).split(' ').at(-1));
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    await this.#await(() => condition() || undefined, what);
  }

  async #await<Value>(look: () => Value | undefined, what: string): Promise<Value> {
    const signal = AbortSignal.timeout(waitMs);
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      await once(this.#changed, 'change', { signal }).catch(() => {
        throw new Error(`no ${what} in time; lines: ${JSON.stringify(this.lines)}, events: ${this.events}`);
      });
    }
  }
}

/** Dead processes that nobody has collected yet do not count as alive. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    if (process.platform !== 'linux') return true;
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

/** Resolves when none of the processes is alive; rejects with those that still are after ten seconds. */
export async function waitUntilGone(pids: readonly number[]): Promise<void> {
  const deadlineMs = performance.now() + waitMs;
  while (pids.some(isAlive)) {
    if (performance.now() > deadlineMs) throw new Error(`still alive: ${pids.filter(isAlive).join(', ')}`);
    await delay(10);
  }
}
