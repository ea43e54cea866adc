import { readdirSync, statSync } from 'node:fs';
import type { DatabaseState, TestNode } from './test-node.ts';
import { waitFor } from './wait-for.ts';

/**
 * Waits until the primary has captured all that is committed, and every node has every database at its position and
 * checksum. Nobody may write meanwhile. Resolves to those positions.
 */
export function waitInStep(
  primary: TestNode,
  nodes: readonly TestNode[],
  timeoutMs: number,
): Promise<Readonly<Record<string, string>>> {
  const others = nodes.filter((node) => node !== primary);
  let seen = '';
  return waitFor(
    'all nodes to be in step',
    async () => {
      const names = databaseNames(primary.databases);
      // Answers only when what is in the file now is captured.
      for (const name of names) await capture(primary, name);
      const states = await Promise.all([primary, ...others].map((node) => node.tryState()));
      const positions = states.map((state) => state && positionsOf(state.databases));
      seen = [primary, ...others]
        .map((node, index) => `${node.name}: ${JSON.stringify(positions[index])}`)
        .join('\n');
      const [first, ...rest] = positions;
      if (!first || names.some((name) => !(name in first))) return undefined;
      if (states.some((state) => state?.role === 'replica' && state.primary === null)) return undefined;
      return rest.every((other) => other && sameRecord(first, other)) ? first : undefined;
    },
    { timeoutMs, state: () => [seen, ...nodes.map((node) => node.tail())].join('\n') },
  );
}

async function capture(primary: TestNode, database: string): Promise<void> {
  const body = JSON.stringify({ database, timeoutMs: 1_000 });
  await primary.fetch('/wait', { method: 'POST', body }).catch(() => undefined);
}

function databaseNames(directory: string): string[] {
  const names = readdirSync(directory).filter((name) => name.endsWith('.db'));
  return names.filter((name) => statSync(`${directory}/${name}`).size > 0);
}

function positionsOf(databases: Readonly<Record<string, DatabaseState>>): Record<string, string> {
  const entries = Object.entries(databases).map(([name, { txid, checksum }]) => [
    name,
    `${txid}/${checksum}`,
  ]);
  return Object.fromEntries(entries.sort());
}

function sameRecord(one: Readonly<Record<string, string>>, other: Readonly<Record<string, string>>): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
