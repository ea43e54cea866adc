import { messageOf } from '../base/errors.ts';
import type { Config } from '../config/config.ts';
import type { Supervisor, SupervisorRole } from '../supervisor/supervisor.ts';
import type { Notice } from './node-log.ts';

export type StartupParts = {
  readonly config: Config;
  readonly supervisor: Supervisor;
  readonly stopping: AbortSignal;
  /** Resolves when this node leads. */
  promote(signal: AbortSignal): Promise<void>;
  readonly warn: Notice;
};

/** LiteFS waits so long for a promotion at a start. */
const promoteTimeoutMs = 10_000;

/**
 * What a litefs.yml has done between the databases and the app's processes: `lease.promote`, and all commands of `exec` but the
 * last. With another configuration, nothing.
 */
export class Startup {
  readonly #parts: StartupParts;
  #done: Promise<void> | undefined;
  #role: SupervisorRole = 'none';

  constructor(parts: StartupParts) {
    this.#parts = parts;
  }

  /** As `Supervisor.setRole`, after all that comes first. Rejects with what that rejects with, and `RELEASE_COMMAND_FAILED`. */
  async setRole(role: SupervisorRole): Promise<void> {
    this.#role = role;
    this.#done ??= this.#run();
    await this.#done;
    // The last of those that waited counts.
    await this.#parts.supervisor.setRole(this.#role);
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
