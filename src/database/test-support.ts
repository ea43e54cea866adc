import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { TestContext } from 'node:test';
import { assert } from '../base/assert.ts';
import { temporaryDirectory } from '../base/test-support.ts';
import type { LocatedRecord, LogLimits } from '../log/log.ts';
import type { PageChecksums } from '../ltx/page-checksums.ts';
import { Checkpointer } from '../sqlite/checkpointer.ts';
import type { DatabaseFiles } from '../sqlite/database-files.ts';
import { PageSource } from '../sqlite/page-source.ts';
import { headerOf, sourcePages } from '../sqlite/test-support.ts';
import type { CapturedBatch } from './capture.ts';
import { scanChecksums } from './checksum-scan.ts';
import { DataDirectory } from './data-directory.ts';
import { type DatabaseContext, openParts } from './database-parts.ts';
import { PrimaryDatabase } from './primary-database.ts';
import { ReplicaDatabase } from './replica-database.ts';
import { writeSnapshot } from './snapshot.ts';
import { SnapshotInstall } from './snapshot-install.ts';

export const databaseName = 'a.db';

export type NodeOverrides = { readonly recycleFrames?: number; readonly logLimits?: LogLimits };

/** The data directory of a node, without the node. */
export class TestNode {
  readonly path: string;
  readonly directory: DataDirectory;
  readonly context: DatabaseContext;
  readonly notices: string[] = [];

  constructor(t: TestContext, overrides: NodeOverrides = {}, path = temporaryDirectory(t)) {
    this.path = path;
    this.directory = new DataDirectory(path);
    const checkpointer = new Checkpointer();
    this.context = {
      directory: path,
      hiddenDirectory: this.directory.hidden,
      logLimits: overrides.logLimits ?? { retentionMs: 3_600_000, bytesMax: 1 << 26 },
      checkpointer,
      rollForward: false,
      node: 'one',
      nodeId: 7n,
      chainBase: () => 0,
      recycleFrames: overrides.recycleFrames ?? 1_000_000,
      notice: (message) => this.notices.push(message),
      warn: (message) => this.notices.push(message),
      lost: ({ id }) => this.notices.push(`lost ${id}`),
    };
    t.after(async () => {
      await checkpointer.stop();
      this.directory.close();
    });
  }

  file(name = databaseName): string {
    return join(this.path, name);
  }

  /** The app's connection. It waits for locks as an app would. */
  app(t: TestContext, setup = ''): DatabaseSync {
    const app = new DatabaseSync(this.file(), { timeout: 5_000 });
    t.after(() => app.isOpen && app.close());
    app.exec(`${setup}; PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF`);
    app.exec('CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, v BLOB)');
    return app;
  }

  async primary(t: TestContext, name = databaseName): Promise<PrimaryDatabase> {
    const database = await PrimaryDatabase.open(this.context, openParts(this.context, name));
    t.after(() => database.close());
    return database;
  }

  async replica(t: TestContext, name = databaseName): Promise<ReplicaDatabase> {
    const database = await ReplicaDatabase.open(this.context, openParts(this.context, name));
    t.after(() => database.close());
    return database;
  }
}

export function pagesOf(files: DatabaseFiles): Buffer {
  return sourcePages(new PageSource(files, headerOf(files)));
}

export function scanOf(files: DatabaseFiles): Promise<PageChecksums> {
  return scanChecksums(new PageSource(files, headerOf(files)));
}

/** Makes a database on a node that does not have it, by a snapshot of the primary's. */
export async function installFrom(
  t: TestContext,
  primary: PrimaryDatabase,
  node: TestNode,
): Promise<ReplicaDatabase> {
  const pin = await primary.pin();
  const install = new SnapshotInstall(node.context, openParts(node.context, primary.name));
  const input = { ...pin, nodeId: 7n, timestampMs: 1_000 };
  await writeSnapshot(input, (chunk) => install.push(chunk), new AbortController().signal);
  pin.release();
  const replica = await install.finish();
  t.after(() => replica.close());
  return replica;
}

export function recordBytes({ record, segment }: LocatedRecord): Buffer {
  const bytes = Buffer.alloc(record.length);
  segment.read(bytes, bytes.length, record.offset);
  return bytes;
}

/** Applies one LTX file in chunks; takes it back and throws when it does not apply. */
export function applyBytes(
  replica: ReplicaDatabase,
  bytes: Uint8Array,
  mode: 'next' | 'changed' = 'next',
): void {
  const apply = replica.beginApply(mode);
  try {
    for (let done = 0; done < bytes.length; done += 100_000) apply.push(bytes.subarray(done, done + 100_000));
    apply.finish();
  } catch (error) {
    apply.abort();
    throw error;
  }
}

/** From here on the replica gets every batch that the primary captures. */
export function follow(
  primary: PrimaryDatabase,
  replica: ReplicaDatabase,
): { stop(): void; batches: number } {
  const link = { stop: () => primary.removeListener(listener), batches: 0 };
  const listener = {
    advanced(batch: CapturedBatch) {
      link.batches += 1;
      applyBytes(replica, batch.bytes ?? recordBytes(batch));
    },
    restarted: () => assert(false, 'the chain of positions was broken off'),
  };
  primary.addListener(listener);
  return link;
}
