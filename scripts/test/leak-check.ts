import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** Carried by everything that a test run starts, so that the run knows its own. */
export const runVariable = 'SKEIN_TEST_RUN';

/** Stopped processes may need a moment to be gone. */
const defaultGraceMs = 3_000;
const pollMs = 100;

export interface LeakedProcess {
  pid: number;
  command: string;
}

interface RunningProcess extends LeakedProcess {
  parentPid: number;
  runId: string | undefined;
  isNode: boolean;
}

/**
 * Finds what a test run left behind: every process that carries its mark, and nodes of this checkout that
 * lost the mark, began during the run and have no parent any more. Linux only; elsewhere it finds nothing.
 */
export class LeakCheck {
  readonly #main: string;
  readonly #runId: string;
  readonly #pidsBefore: ReadonlySet<number>;

  constructor(root: string, runId: string) {
    this.#main = resolve(root, 'src/cli/main.ts');
    this.#runId = runId;
    this.#pidsBefore = new Set(this.#processes().map(({ pid }) => pid));
  }

  /** Gives them `graceMs` to end by themselves, kills the rest and returns it. */
  async killLeaked(graceMs = defaultGraceMs): Promise<LeakedProcess[]> {
    const deadlineMs = performance.now() + graceMs;
    let leaked = this.#leaked();
    while (leaked.length > 0 && performance.now() < deadlineMs) {
      await delay(pollMs);
      leaked = this.#leaked();
    }
    for (const { pid } of leaked) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended by itself meanwhile, and was late all the same.
      }
    }
    return leaked.map(({ pid, command }) => ({ pid, command }));
  }

  #leaked(): RunningProcess[] {
    return this.#processes().filter(({ pid, parentPid, runId, isNode }) => {
      if (runId !== undefined) return runId === this.#runId;
      return isNode && parentPid === 1 && !this.#pidsBefore.has(pid);
    });
  }

  #processes(): RunningProcess[] {
    if (process.platform !== 'linux') return [];
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
      .flatMap((name) => this.#process(Number(name)) ?? []);
  }

  /** Undefined for a process that is gone, is being reaped or belongs to somebody else. */
  #process(pid: number): RunningProcess | undefined {
    try {
      const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
      if (args.length === 0) return undefined;
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
      const mark = environment.find((entry) => entry.startsWith(`${runVariable}=`));
      const directory = readlinkSync(`/proc/${pid}/cwd`);
      // The fields after the program's name, which stands in brackets: state, parent.
      const status = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1) ?? '';
      return {
        pid,
        command: args.join(' '),
        parentPid: Number(status.split(' ')[1]),
        runId: mark?.slice(runVariable.length + 1),
        isNode: args.some((arg) => arg.endsWith('main.ts') && resolve(directory, arg) === this.#main),
      };
    } catch {
      return undefined;
    }
  }
}
