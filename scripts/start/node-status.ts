import { z } from 'zod';

/** The database that the example app keeps. */
export const databaseName = 'cities.db';

const nodeStatus = z.object({
  node: z.string(),
  pid: z.number(),
  role: z.enum(['primary', 'replica']),
  epoch: z.number(),
  primary: z.object({ node: z.string(), url: z.string() }).nullable(),
  databases: z.record(
    z.string(),
    z.object({ txid: z.string(), checksum: z.string(), lagMs: z.number().nullish() }),
  ),
  replicas: z
    .array(
      z.object({
        node: z.string(),
        connected: z.boolean(),
        acknowledged: z.record(z.string(), z.string()),
      }),
    )
    .default([]),
  processes: z
    .array(z.object({ name: z.string(), on: z.string(), state: z.string(), restarts: z.number() }))
    .default([]),
});

/** What this program uses of a node's `GET /status`. */
export type NodeStatus = z.infer<typeof nodeStatus>;

const timeoutMs = 2000;

/** Asks a node for its status. Undefined when it does not answer in time, or not in the form expected. */
export async function fetchStatus(apiUrl: string): Promise<NodeStatus | undefined> {
  try {
    const response = await fetch(`${apiUrl}/status`, { signal: AbortSignal.timeout(timeoutMs) });
    return nodeStatus.parse(await response.json());
  } catch {
    return undefined;
  }
}

/** The position of the app's database, `TXID/checksum` as 16 hex digits each. */
export function positionOf(status: NodeStatus | undefined): string | undefined {
  const database = status?.databases[databaseName];
  return database && `${database.txid}/${database.checksum}`;
}

/** True once the node serves: it has the database, and all of its processes run. */
export function isServing(status: NodeStatus | undefined): boolean {
  if (!status || Object.keys(status.databases).length === 0 || status.processes.length === 0) return false;
  return status.processes.every(
    ({ on, state }) => state === 'running' || (on === 'primary' && status.role === 'replica'),
  );
}

/** What the node that leads says: of two that claim it, the older one has yet to learn that it does not any more. */
export function leadingStatus(all: readonly (NodeStatus | undefined)[]): NodeStatus | undefined {
  let leading: NodeStatus | undefined;
  for (const status of all) {
    if (status?.role === 'primary' && status.epoch > (leading?.epoch ?? -1)) leading = status;
  }
  return leading;
}
