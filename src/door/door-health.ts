import type { ConnectionPool } from './connection-pool.ts';
import type { DoorNode } from './door-node.ts';
import type { Answer } from './route.ts';

/** Whether this node is fit to be given requests: connected, not far behind, and its app takes connections. */
export async function doorHealth(node: DoorNode, app: ConnectionPool, maxLagMs: number): Promise<Answer> {
  const problem = problemOf(node, maxLagMs) ?? (await problemOfApp(app));
  return { kind: 'answer', status: problem === undefined ? 200 : 503, body: `${problem ?? 'OK'}\n` };
}

function problemOf(node: DoorNode, maxLagMs: number): string | undefined {
  const replication = node.replication();
  if (!replication) return 'The node is starting';
  if (maxLagMs === 0 || replication.role === 'primary') return undefined;
  const lags = replication.databases().map(({ lagMs }) => lagMs ?? Number.POSITIVE_INFINITY);
  // LiteFS's words.
  return Math.max(0, ...lags) > maxLagMs ? 'Replication lag exceeded' : undefined;
}

async function problemOfApp(app: ConnectionPool): Promise<string | undefined> {
  try {
    // One that is idle is left so, to be closed in its time. Where there are as many as there may be, the app has taken those.
    if (app.hasIdle || app.isFull) return undefined;
    const connection = await app.open();
    if (connection) app.release(connection);
    return undefined;
  } catch {
    return 'The app does not take connections';
  }
}
