import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import type { TestNode } from './test-node.ts';

const execute = promisify(execFile);
const timeoutMs = 60_000;

/** Nodes that are to hold the same. */
export type NodeGroup = {
  readonly directory: string;
  readonly nodes: readonly TestNode[];
  waitInStep(timeoutMs?: number): Promise<Readonly<Record<string, string>>>;
};

/** What the `sqlite3` program answers, without the last newline. Rejects with what it complains about. */
export async function sqlite3(path: string, ...statements: readonly string[]): Promise<string> {
  const args = ['-batch', '-bail', '-cmd', '.timeout 5000', path, ...statements];
  const { stdout } = await execute('sqlite3', args, { timeout: timeoutMs, maxBuffer: 1 << 28 });
  return stdout.replace(/\n$/, '');
}

/** SHA-256 of all pages as the `sqlite3` program reads them, by SQLite's own backup. */
export async function pagesHash(path: string, copy: string): Promise<string> {
  await sqlite3(path, `.backup '${copy}'`);
  try {
    const hash = createHash('sha256');
    await pipeline(createReadStream(copy), hash);
    return hash.digest('hex');
  } finally {
    for (const suffix of ['', '-journal', '-wal', '-shm']) await rm(copy + suffix, { force: true });
  }
}

/**
 * Waits until all nodes are in step, then checks that every database is byte-equal on all of them and sound. Nobody may
 * write meanwhile.
 */
export async function assertInStep(cluster: NodeGroup, stepTimeoutMs?: number): Promise<void> {
  const positions = await cluster.waitInStep(stepTimeoutMs);
  for (const name of Object.keys(positions)) {
    const hashes: string[] = [];
    for (const node of cluster.nodes) {
      hashes.push(await pagesHash(node.path(name), join(cluster.directory, `${node.name}.copy`)));
      assert.equal(await sqlite3(node.path(name), 'PRAGMA integrity_check'), 'ok', `${name} on ${node.name}`);
    }
    for (const [index, hash] of hashes.entries()) {
      assert.equal(hash, hashes[0], `${name} on ${cluster.nodes[index].name} is byte-equal to the primary's`);
    }
  }
  assert.deepEqual(await cluster.waitInStep(stepTimeoutMs), positions, 'reading moves no position');
}
