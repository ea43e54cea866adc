import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { sqlite3 } from './checks.ts';
import { TestCluster } from './test-cluster.ts';
import type { TestNode } from './test-node.ts';

export const enter = "INSERT INTO notes (text) VALUES ('there')";

/** A cluster, started, with an empty table of notes that all have. */
export async function withNotes(
  t: TestContext,
  options: Parameters<typeof TestCluster.start>[1] = {},
): Promise<TestCluster> {
  const cluster = await TestCluster.start(t, { replicas: 2, ...options });
  await createNotes(cluster);
  return cluster;
}

/** Runs a program on the node under its halt lock. */
export function runHalted(node: TestNode, ...command: readonly string[]) {
  return node.skein('run', '-v', '-with-halt-lock-on', node.path('app.db'), '--', ...command);
}

/** The states that the node has kept. */
export function lostEntries(node: TestNode): string[] {
  return existsSync(node.path('.skein/lost')) ? readdirSync(node.path('.skein/lost')) : [];
}

/** Holds the halt lock by the API until `release`, which resolves to the rest of the answer. */
export async function hold(node: TestNode): Promise<{ release(): Promise<string> }> {
  const body = new TransformStream<Uint8Array, Uint8Array>();
  const writer = body.writable.getWriter();
  void writer.write(new TextEncoder().encode('\n')).catch(() => undefined);
  const init = { method: 'POST', body: body.readable, duplex: 'half', signal: AbortSignal.timeout(60_000) };
  const answer = await node.fetch('/halt-lock?name=app.db', init as RequestInit);
  assert.equal(answer.status, 200, `${node.name} gives the lock\n${node.tail()}`);
  const reader = answer.body?.getReader();
  const first = await reader?.read();
  assert.match(new TextDecoder().decode(first?.value), /"held":true/);
  return {
    release: async () => {
      await writer.close().catch(() => undefined);
      let text = '';
      for (let chunk = await reader?.read(); chunk && !chunk.done; chunk = await reader?.read())
        text += new TextDecoder().decode(chunk.value);
      return text;
    },
  };
}

/** The table, on the primary and then on all. */
export async function createNotes(cluster: TestCluster): Promise<void> {
  const setup = 'PRAGMA journal_mode=WAL; CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)';
  await sqlite3(cluster.primary.path('app.db'), setup);
  await cluster.waitInStep();
}
