import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { formatPosition } from '../ltx/position.ts';
import type { DataDirectory } from './data-directory.ts';
import { type DatabaseContext, openParts } from './database-parts.ts';
import { keepCopy } from './kept-copy.ts';
import { ReplicaDatabase } from './replica-database.ts';
import { SnapshotInstall } from './snapshot-install.ts';

/** All databases of a node that follows. */
export class ReplicaSet {
  readonly #context: DatabaseContext;
  readonly #directory: DataDirectory;
  readonly #databases = new Map<string, ReplicaDatabase>();

  constructor(context: DatabaseContext, directory: DataDirectory) {
    this.#context = context;
    this.#directory = directory;
  }

  /** Opens what is there. Throws the first database's error. */
  async start(): Promise<void> {
    for (const name of this.#directory.databaseNames()) {
      const parts = openParts(this.#context, name);
      this.#databases.set(name, await ReplicaDatabase.open(this.#context, parts));
    }
    for (const name of this.#directory.loggedNames()) {
      if (!existsSync(join(this.#directory.path, name))) this.#directory.removeLog(name);
    }
  }

  get(name: string): ReplicaDatabase | undefined {
    return this.#databases.get(name);
  }

  all(): ReplicaDatabase[] {
    return [...this.#databases.values()];
  }

  /** Begins to receive a database that is not here. */
  beginInstall(name: string): DatabaseInstall {
    const install = new SnapshotInstall(this.#context, openParts(this.#context, name));
    return {
      push: (chunk) => install.push(chunk),
      finish: async () => {
        const database = await install.finish();
        this.#databases.set(name, database);
        return database;
      },
      abort: () => install.abort(),
    };
  }

  /** Writes this node's state of a database to `.skein/lost`, and says why. Throws the system's error. */
  async keepCopy(database: ReplicaDatabase, why: string): Promise<void> {
    const pinned = await database.pin();
    try {
      const copy = await keepCopy(this.#directory.hidden, database.name, pinned);
      this.#context.warn(`${why}; this node's state was kept`, {
        database: database.name,
        position: formatPosition(pinned.position),
        copy,
      });
    } finally {
      pinned.release();
    }
  }

  /**
   * The primary has deleted the database: so does this node, but for a copy in `.skein/lost`. Programs that have it open
   * keep what they had.
   */
  async drop(name: string): Promise<void> {
    const database = this.#databases.get(name);
    if (database) await this.keepCopy(database, 'the primary dropped the database');
    this.#databases.delete(name);
    await database?.close();
    database?.parts.positionFile.delete();
    const path = join(this.#directory.path, name);
    for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
    this.#directory.removeLog(name);
  }

  async stop(): Promise<void> {
    for (const database of this.#databases.values()) await database.close();
    this.#databases.clear();
  }
}

export type DatabaseInstall = {
  push(chunk: Uint8Array): void;
  finish(): Promise<ReplicaDatabase>;
  abort(): void;
};
