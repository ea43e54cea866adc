import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import type { TestContext } from 'node:test';
import { BusProcess } from './bus-process.ts';
import { type CandidatesOptions, TestCandidates } from './test-candidates.ts';
import type { TestNode } from './test-node.ts';
import { waitFor } from './wait-for.ts';

/** Three nodes that agree by a file who leads, each with a process of the app; the database has a table for notes. */
export async function withApps(t: TestContext, options: CandidatesOptions = {}) {
  const candidates = await TestCandidates.start(t, options);
  const leader = await candidates.leader();
  createNotes(leader);
  await candidates.waitInStep();
  await linked(candidates.nodes);
  const apps = new Map(candidates.nodes.map((node) => [node, new BusProcess(t, node)]));
  await Promise.all([...apps.values()].map((app) => app.do('ready')));
  const app = (node: TestNode) => {
    const found = apps.get(node);
    assert.ok(found);
    return found;
  };
  return { candidates, leader, replicas: candidates.others(leader), app };
}

export function createNotes(node: TestNode): void {
  const database = new DatabaseSync(node.path('app.db'));
  database.exec('CREATE TABLE notes (id INTEGER PRIMARY KEY, value TEXT)');
  database.close();
}

/** Waits until the bus of each of these is linked with that of each other. */
export async function linked(nodes: readonly TestNode[]): Promise<void> {
  await waitFor('the nodes to be linked', async () => {
    const states = await Promise.all(nodes.map((node) => node.tryState()));
    return states.every((state) => nodes.every(({ name }) => name === state?.node || isLinked(state, name)));
  });
}

/** Whether the node's bus has a link with the one of this name. */
export function isLinked(state: Awaited<ReturnType<TestNode['tryState']>>, name: string): boolean {
  return state?.peers.some(({ node, connected }) => node === name && connected) === true;
}

/** What is in the table for notes. */
export function notesOf(node: TestNode): string[] {
  const database = new DatabaseSync(node.path('app.db'), { timeout: 5_000 });
  const rows = database.prepare('SELECT value FROM notes ORDER BY id').all();
  database.close();
  return rows.map(({ value }) => String(value));
}
