import { reportReady, reportResult, taskInput } from './child-task.ts';
import { LoadConnection, type LoadRequest, loadRequest } from './load-connection.ts';
import { cpuMsOf } from './process-figures.ts';

export type PairedLoadInput = {
  targets: readonly (LoadRequest & { readonly port: number; readonly pid: number })[];
  connections: number;
  sliceMs: number;
  rounds: number;
};

/** Of one target: by round its rate, and in all the processor's time of its process for one request, in µs. */
export type PairedLoad = { readonly rates: readonly number[]; readonly cpuUs: number };

type Target = {
  readonly pid: number;
  readonly request: Buffer;
  readonly connections: readonly LoadConnection[];
  readonly rates: number[];
  requests: number;
  cpuMs: number;
};

/**
 * A process that asks several servers in turns, a slice of a second each and in both orders, so that what else the machine does is
 * the same for all of them. The first round, in which everything warms up, is not counted. Answers must have a content-length.
 */
if (import.meta.main) {
  const { targets, connections, sliceMs, rounds } = taskInput<PairedLoadInput>();
  const all: Target[] = [];
  for (const { port, pid, ...rest } of targets) {
    const open = Array.from({ length: connections }, () => LoadConnection.open(port));
    const request = loadRequest(rest);
    all.push({ pid, request, connections: await Promise.all(open), rates: [], requests: 0, cpuMs: 0 });
  }
  reportReady();
  for (let round = 0; round <= rounds; round += 1)
    for (const target of round % 2 === 0 ? all : all.toReversed()) await ask(target, sliceMs, round > 0);
  for (const { connections: open } of all) for (const connection of open) connection.end();
  reportResult<PairedLoad[]>(
    all.map(({ rates, cpuMs, requests }) => ({ rates, cpuUs: (cpuMs * 1_000) / requests })),
  );
}

async function ask(target: Target, sliceMs: number, counts: boolean): Promise<void> {
  const cpuMs = cpuMsOf(target.pid);
  const beganMs = performance.now();
  const untilMs = beganMs + sliceMs;
  let requests = 0;
  const run = (connection: LoadConnection) =>
    new Promise<void>((resolve, reject) => {
      const next = () =>
        connection.ask(target.request, (head) => {
          requests += 1;
          if (!head.startsWith('HTTP/1.1 200')) reject(new Error(`answered with ${head}`));
          else if (performance.now() < untilMs) next();
          else resolve();
        });
      next();
    });
  await Promise.all(target.connections.map(run));
  if (!counts) return;
  target.rates.push((requests * 1_000) / (performance.now() - beganMs));
  target.requests += requests;
  target.cpuMs += cpuMsOf(target.pid) - cpuMs;
}
