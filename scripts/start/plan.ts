import { once } from 'node:events';
import { createServer } from 'node:net';
import { join, relative } from 'node:path';

/** One node of the demonstration: where it listens and where its files are. */
export interface NodePlan {
  name: string;
  city: string;
  apiPort: number;
  apiUrl: string;
  /** Where clients come in: the door in front of the app. */
  appPort: number;
  appUrl: string;
  /** Where the app itself listens. */
  innerPort: number;
  /** Holds the database, and what Skein keeps beside it. */
  dataDirectory: string;
  logFile: string;
}

export interface Plan {
  /** The first is the one that leads first. */
  nodes: NodePlan[];
  /** Where the nodes keep the lease that decides who leads. */
  leaseDirectory: string;
  /** One line for each port that was taken. */
  notes: string[];
}

const regions = [
  { name: 'ams', city: 'Amsterdam' },
  { name: 'ord', city: 'Chicago' },
  { name: 'syd', city: 'Sydney' },
];
const firstApiPort = 20_201;
const firstAppPort = 8081;
const firstInnerPort = 8181;
const portsTriedMax = 200;

/** Three nodes under `directory`, each with three ports of its own: the usual ones, or the next free ones. */
export async function planNodes(directory: string): Promise<Plan> {
  const notes: string[] = [];
  const taken = new Set<number>();
  const choose = async (wanted: number, what: string): Promise<number> => {
    const port = await freePort(wanted, taken);
    if (port !== wanted) notes.push(`port ${wanted} is taken: ${what} uses ${port}`);
    taken.add(port);
    return port;
  };
  const nodes: NodePlan[] = [];
  for (const [index, { name, city }] of regions.entries()) {
    const apiPort = await choose(firstApiPort + index, `the API of ${name}`);
    const appPort = await choose(firstAppPort + index, `the door of ${name}`);
    const innerPort = await choose(firstInnerPort + index, `the app of ${name}`);
    nodes.push({
      name,
      city,
      apiPort,
      apiUrl: `http://127.0.0.1:${apiPort}`,
      appPort,
      appUrl: `http://127.0.0.1:${appPort}`,
      innerPort,
      dataDirectory: join(directory, name, 'data'),
      logFile: join(directory, name, 'skein.log'),
    });
  }
  return { nodes, leaseDirectory: join(directory, 'lease'), notes };
}

/** What to print about the plan: where everything is, and two things to try, the write on a node that does not lead. */
export function planLines(nodes: readonly NodePlan[], leaderName = nodes[0]?.name): string[] {
  const rows = nodes.map((node) => [node.name, node.appUrl, node.apiUrl, shortPath(node.dataDirectory)]);
  const cells = [['', 'app', 'API', 'data'], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const lines = cells.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const replica = nodes.find(({ name }) => name !== leaderName);
  if (!replica) return lines;
  const file = shortPath(join(replica.dataDirectory, 'cities.db'));
  return [
    ...lines,
    '',
    `write  curl -X POST ${replica.appUrl}/places/2147714/visits`,
    `read   sqlite3 ${file} 'SELECT count(*) FROM visits'`,
  ];
}

/** A path as one would type it here. */
export function shortPath(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere.startsWith('..') ? path : fromHere;
}

async function freePort(wanted: number, taken: ReadonlySet<number>): Promise<number> {
  for (let port = wanted; port < wanted + portsTriedMax; port += 1) {
    if (!taken.has(port) && (await isFree(port))) return port;
  }
  throw new Error(`no free port from ${wanted} to ${wanted + portsTriedMax - 1}; stop what listens there`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
