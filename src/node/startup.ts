import { messageOf } from '../base/errors.ts';
import type { Config } from '../config/config.ts';
import type { Supervisor, SupervisorRole } from '../supervisor/supervisor.ts';
import type { Notice } from './node-log.ts';

export type StartupParts = {
  readonly config: Config;
  readonly supervisor: Supervisor;
  readonly stopping: AbortSignal;
  /** Called before the processes run as the role asks: the functions of calls end first where it is not the primary's. */
  changing(role: SupervisorRole): Promise<void> | void;
  /** Resolves when this node leads. */
  promote(signal: AbortSignal): Promise<void>;
  readonly warn: Notice;
};

/** LiteFS waits so long for a promotion at a start. */
const promoteTimeoutMs = 10_000;

/**
 * What comes between the databases and the app's processes, and when those may start: the release command on the primary, and
 * what a litefs.yml has done, `lease.promote` and all commands of `exec` but the last.
 */
export class Startup {
  /** Resolves when the app's processes have started. */
  readonly started: Promise<void>;
  readonly #resolveStarted: () => void;
  readonly #parts: StartupParts;
  #done: Promise<void> | undefined;
  /** While it runs, nothing starts. */
  #releasing: Promise<void> | undefined;
  #hasStarted = false;
  /** Undefined: what was asked for is out of date, and what is to be is not known yet. */
  #role: SupervisorRole | undefined;

  constructor(parts: StartupParts) {
    this.#parts = parts;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.started = promise;
    this.#resolveStarted = resolve;
  }

  /** Whether the app's processes have been started, or are being started. Until then a loss of the lead takes a start back. */
  get hasStarted(): boolean {
    return this.#hasStarted;
  }

  /**
   * As `Supervisor.setRole`, after all that comes first; without effect when `retract` or `release` came in between. Rejects with
   * what that rejects with, and `RELEASE_COMMAND_FAILED`.
   */
  async setRole(role: SupervisorRole): Promise<void> {
    this.#role = role;
    await this.#parts.changing(role);
    this.#done ??= this.#run();
    await this.#done;
    while (this.#releasing) await this.#releasing;
    // The last of those that waited counts.
    if (this.#role === undefined) return;
    this.#hasStarted = true;
    await this.#parts.supervisor.setRole(this.#role);
    this.#resolveStarted();
  }

  /** What is not started yet does not start until `setRole` is called again: the role that it was for is over. */
  retract(): void {
    if (!this.#hasStarted) this.#role = undefined;
  }

  /**
   * Runs the release command, once this node leads; a node whose processes have started has followed a primary that did, or has done
   * it itself. Takes a start that is under way back. Rejects as `Supervisor.runRelease` does.
   */
  async release(): Promise<void> {
    const { supervisor, stopping, config } = this.#parts;
    const { releaseCommand: command, releaseCommandTimeoutMs } = config;
    this.retract();
    if (command === undefined || this.#hasStarted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#releasing = promise;
    try {
      await supervisor.runRelease(command, releaseCommandTimeoutMs, stopping);
    } catch (error) {
      this.retract();
      throw error;
    } finally {
      this.#releasing = undefined;
      resolve();
    }
  }

  async #run(): Promise<void> {
    const { config, supervisor, stopping } = this.#parts;
    const { litefs, node } = config;
    if (litefs === undefined) return;
    if (litefs.promote && node.candidate && !litefs.skipSync && config.lease.type !== 'static')
      await this.#promote();
    for (const [index, { argv, ifCandidate }] of litefs.setup.entries()) {
      if (ifCandidate && !node.candidate) continue;
      await supervisor.runSetup(argv, `Command ${index + 1} of exec`, stopping);
    }
  }

  /** A node that cannot lead serves as the replica that it is. */
  async #promote(): Promise<void> {
    const { stopping, promote, warn } = this.#parts;
    const signal = AbortSignal.any([stopping, AbortSignal.timeout(promoteTimeoutMs)]);
    try {
      await promote(signal);
      if (signal.aborted && !stopping.aborted)
        warn('lease.promote: this node does not lead yet, and goes on as a replica');
    } catch (error) {
      warn('lease.promote: this node does not lead, and goes on as a replica', { reason: messageOf(error) });
    }
  }
}
