import { createHash } from 'node:crypto';
import { createReadStream, rmSync } from 'node:fs';
import { join } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { pipeline } from 'node:stream/promises';
import { sleep } from '../src/base/sleep.ts';
import { countItems, createItems, databaseName } from './items.ts';
import { BenchNode, freePorts, type LeaseVariables } from './nodes.ts';
import { sharedClockMs } from './shared-clock.ts';

const settleTimeoutMs = 60_000;
const pollMs = 10;

/** Nodes that agree by a lease on who leads, with one database of one row. */
export class Candidates {
  readonly nodes: readonly BenchNode[];
  readonly #directory: string;

  private constructor(directory: string, nodes: readonly BenchNode[]) {
    this.#directory = directory;
    this.nodes = nodes;
  }

  /** Makes the directories; starts nothing. */
  static async plan(directory: string, count: number, lease: LeaseVariables): Promise<Candidates> {
    rmSync(directory, { recursive: true, force: true });
    const ports = await freePorts(count);
    const nodes = ports.map(
      (port, index) => new BenchNode({ name: `node-${index + 1}`, directory, port }, lease),
    );
    createItems(nodes[0].databasePath(databaseName), 1);
    return new Candidates(directory, nodes);
  }

  /** The first node leads then, and all others have what it has. */
  async start(): Promise<void> {
    const [first, ...others] = this.nodes;
    await first.start();
    await first.healthy();
    await Promise.all(others.map((node) => node.start()));
    await Promise.all(others.map((node) => node.healthy()));
    await this.settled();
  }

  /** The node that leads, once one does and all others that run are connected to it. */
  async settled(): Promise<BenchNode> {
    const deadlineMs = sharedClockMs() + settleTimeoutMs;
    while (sharedClockMs() < deadlineMs) {
      const running = this.nodes.filter(({ isRunning }) => isRunning);
      for (const node of running) {
        const status = await node.status();
        const connected = status?.replicas.filter((replica) => replica.connected).length;
        if (status?.role === 'primary' && connected === running.length - 1) return node;
      }
      await sleep(pollMs);
    }
    throw new Error('no node leads with all others connected');
  }

  /** Compares the pages and the rows of all nodes, byte by byte. Nobody writes any more. Throws where they differ. */
  async requireSame(rows: number): Promise<void> {
    const primary = await this.settled();
    await primary.heldBy(this.nodes.length - 1, databaseName);
    const hashes = await Promise.all(this.nodes.map((node) => this.#pagesHash(node)));
    if (new Set(hashes).size !== 1) throw new Error(`nodes differ in the end:\n${hashes.join('\n')}`);
    const counted = countItems(primary.databasePath(databaseName));
    if (counted !== rows) throw new Error(`${rows} rows were committed, and there are ${counted}`);
  }

  /** SHA-256 of all pages as SQLite itself reads them. */
  async #pagesHash(node: BenchNode): Promise<string> {
    const copy = join(this.#directory, `${node.name}.copy`);
    const database = new DatabaseSync(node.databasePath(databaseName), { readOnly: true });
    try {
      await backup(database, copy);
    } finally {
      database.close();
    }
    const hash = createHash('sha256');
    await pipeline(createReadStream(copy), hash);
    return hash.digest('hex');
  }

  /** Stops all nodes and deletes their files. */
  async discard(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
