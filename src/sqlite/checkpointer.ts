import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { assert } from '../base/assert.ts';
import { SkeinError } from '../base/errors.ts';

export type CheckpointRequest = {
  readonly id: number;
  readonly verb: 'checkpoint' | 'release';
  readonly path: string;
};
export type CheckpointReply =
  | { readonly id: number; readonly frames: number; readonly moved: number }
  | { readonly id: number; readonly error: string };

/** Frames in the WAL, and how many of them are in the database file now; -1 each when another checkpointer ran. */
export type CheckpointResult = { readonly frames: number; readonly moved: number };

type Waiting = {
  readonly resolve: (result: CheckpointResult) => void;
  readonly reject: (error: Error) => void;
};

/** The thread ends after this long without a request: it takes twenty megabytes that an idle node need not have. */
const idleMs = 5_000;

/** Runs SQLite's own `wal_checkpoint(PASSIVE)` in a thread that starts with the first request. One for all databases. */
export class Checkpointer {
  #worker: Worker | undefined;
  #idle: NodeJS.Timeout | undefined;
  #nextId = 1;
  readonly #waiting = new Map<number, Waiting>();

  /** The caller holds neither CKPT nor a read lock that would stop it. Rejects with `DISK_FULL` or `DATABASE_BUSY`. */
  checkpoint(path: string): Promise<CheckpointResult> {
    return this.#ask('checkpoint', path);
  }

  /** Closes the thread's connection to a database, which must come before the database's other descriptors close. */
  async release(path: string): Promise<void> {
    if (this.#worker) await this.#ask('release', path);
  }

  async stop(): Promise<void> {
    clearTimeout(this.#idle);
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  #ask(verb: CheckpointRequest['verb'], path: string): Promise<CheckpointResult> {
    this.#worker ??= this.#start();
    const worker = this.#worker;
    clearTimeout(this.#idle);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      const request: CheckpointRequest = { id, verb, path };
      worker.postMessage(request);
    });
  }

  /** The thread closes its connections by SQLite's own means, which keeps the locks of this process's others. */
  async #end(worker: Worker): Promise<void> {
    if (this.#worker === worker) this.#worker = undefined;
    worker.postMessage('end');
    await once(worker, 'exit');
  }

  #start(): Worker {
    const worker = new Worker(
      new URL(import.meta.url.replace(/checkpointer\.(ts|js)$/, 'checkpoint-thread.$1')),
      {
        resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 },
      },
    );
    worker.on('message', (reply: CheckpointReply) => {
      const waiting = this.#waiting.get(reply.id);
      assert(waiting, `an answer to checkpoint ${reply.id}, which nobody asked for`);
      this.#waiting.delete(reply.id);
      if (this.#waiting.size === 0) this.#idle = setTimeout(() => void this.#end(worker), idleMs).unref();
      if (!('error' in reply)) {
        waiting.resolve(reply);
        return;
      }
      const full = /full|disk I\/O/.test(reply.error);
      waiting.reject(
        new SkeinError(
          full ? 'DISK_FULL' : 'DATABASE_BUSY',
          `SQLite could not checkpoint: ${reply.error}. It is tried again.`,
        ),
      );
    });
    worker.on('error', (error) => {
      this.#worker = undefined;
      for (const waiting of this.#waiting.values()) waiting.reject(error);
      this.#waiting.clear();
    });
    return worker;
  }
}
