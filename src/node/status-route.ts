import type { Config } from '../config/config.ts';
import { formatChecksum, formatPosition, formatTxid } from '../ltx/position.ts';
import type { ProcessStatus } from '../supervisor/supervisor.ts';
import type { PrimaryNode, Replication } from './replication.ts';

/** What GET /status answers. */
export function statusOf(
  config: Config,
  replication: Replication,
  lead: {
    readonly canWrite: boolean;
    readonly epoch: number;
    readonly chainEpoch: number;
    readonly hasHandedOver: boolean;
  },
  processes: readonly ProcessStatus[],
  peers: readonly object[],
): object {
  const problems = replication.problems();
  const databases = replication.databases().map((database) => {
    const { txid, checksum } = database.position;
    const problem = problems.get(database.name);
    const lagMs = database.lagMs === undefined ? null : Math.round(database.lagMs * 10) / 10;
    const status = {
      txid: formatTxid(txid),
      checksum: formatChecksum(checksum),
      lagMs,
      walBytes: database.walBytes,
      logBytes: database.logBytes,
    };
    return [database.name, problem === undefined ? status : { ...status, problem }] as const;
  });
  const known = new Set(databases.map(([name]) => name));
  return {
    node: config.node.name,
    pid: process.pid,
    app: config.app,
    region: config.node.region,
    url: config.node.advertise,
    candidate: config.node.candidate,
    role: replication.role,
    primary: primaryOf(config, replication),
    canWrite: lead.canWrite,
    epoch: lead.epoch,
    chainEpoch: lead.chainEpoch,
    handedOver: lead.hasHandedOver,
    databases: Object.fromEntries(databases),
    /** Files that are not replicated, and why. */
    refused: Object.fromEntries([...problems].filter(([name]) => !known.has(name))),
    replicas: replication.replicas().map(({ node, region, url, candidate, connected, acknowledged }) => ({
      node,
      region,
      url,
      candidate,
      connected,
      acknowledged: Object.fromEntries(
        [...acknowledged].map(([name, position]) => [name, formatPosition(position)]),
      ),
    })),
    /** Nodes that this one has heard of, and whether its bus is linked with theirs. */
    peers,
    processes,
  };
}

function primaryOf({ node }: Config, replication: Replication): PrimaryNode | null {
  if (replication.role === 'primary') return { node: node.name, region: node.region, url: node.advertise };
  return replication.primary() ?? null;
}

/** What GET /health answers. */
export function healthOf(replication: Replication, started: boolean) {
  const problems = Object.fromEntries(replication.problems());
  const connected = replication.role === 'primary' || replication.primary() !== undefined;
  const healthy = started && connected && Object.keys(problems).length === 0;
  return { healthy, started, connected, problems };
}
