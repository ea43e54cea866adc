import { monotonicMs } from '../../src/base/clock.ts';
import { sleep } from '../../src/base/sleep.ts';
import type { Cluster } from './cluster.ts';
import { isReady } from './live.ts';
import { lastLines } from './log-tail.ts';
import { positionOf } from './node-status.ts';
import type { NodePlan } from './plan.ts';
import { table } from './screen.ts';
import type { Terminal } from './terminal.ts';
import { ClusterWatch } from './watch.ts';

/** Something that the demonstration promises and that did not come true. */
export class DemoFailure extends Error {}

const startTimeoutMs = 180_000;
const settleTimeoutMs = 60_000;
const requestTimeoutMs = 15_000;
const pollMs = 100;
const writesCount = 300;
const writersCount = 6;
/** Sydney, Amsterdam and Chicago: where the writes go. */
const visited = [2147714, 2759794, 4887398];

/**
 * Starts, writes, waits until every replica holds the writes, reads them there, and shows the table.
 * Throws `DemoFailure` with what was wrong.
 */
export async function runOnce(cluster: Cluster, terminal: Terminal, signal: AbortSignal): Promise<void> {
  const watch = new ClusterWatch(cluster);
  const waiting = { cluster, watch, terminal, signal };
  await waitUntil(waiting, 'every node serves its app', startTimeoutMs, (views) => views.every(isReady));
  await Promise.all(cluster.nodes.map(({ plan }) => waitForApp(plan, signal)));

  const { plan: primary } = cluster.primary;
  const before = await visitsAt(primary);
  const began = monotonicMs();
  await write(primary, signal);
  const tookMs = monotonicMs() - began;
  terminal.print(`${writesCount} visits written on ${primary.name} in ${Math.round(tookMs)} ms`);

  await waitUntil(waiting, 'every replica is at the position of the primary', settleTimeoutMs, (views) => {
    const positions = views.map(({ status }) => positionOf(status));
    return positions[0] !== undefined && positions.every((position) => position === positions[0]);
  });
  const settledMs = monotonicMs() - began - tookMs;
  terminal.print(`every replica held them ${Math.round(settledMs)} ms later, at most`);

  const expected = before.map((count) => count + writesCount / visited.length);
  for (const { plan } of cluster.replicas) {
    const found = await visitsAt(plan);
    if (found.join() !== expected.join()) {
      throw new DemoFailure(
        `the app of ${plan.name} reads ${found.join(', ')} visits instead of ${expected.join(', ')}`,
      );
    }
    terminal.print(`the app of ${plan.name} reads all of them from its own file`);
  }
  terminal.print('', ...table(await watch.refresh(), terminal.size), '');
}

interface Waiting {
  cluster: Cluster;
  watch: ClusterWatch;
  terminal: Terminal;
  signal: AbortSignal;
}

async function waitUntil(
  { cluster, watch, terminal, signal }: Waiting,
  what: string,
  timeoutMs: number,
  isTrue: (views: Awaited<ReturnType<ClusterWatch['refresh']>>) => boolean,
): Promise<void> {
  const deadline = monotonicMs() + timeoutMs;
  for (;;) {
    const views = await watch.refresh();
    terminal.printLog(watch.newLines());
    if (isTrue(views)) return;
    signal.throwIfAborted();
    const dead = cluster.nodes.find((node) => !node.isRunning);
    if (dead)
      throw new DemoFailure(`node ${dead.plan.name} ${dead.exit ?? 'is not running'}${logOf(dead.plan)}`);
    if (monotonicMs() > deadline) {
      const seconds = timeoutMs / 1000;
      const lines = table(views, { columns: 120, color: false });
      throw new DemoFailure(`not within ${seconds} s: ${what}\n${lines.join('\n')}`);
    }
    await sleep(pollMs, signal);
  }
}

/** The process runs, but it may not listen yet. */
async function waitForApp(plan: NodePlan, signal: AbortSignal): Promise<void> {
  const deadline = monotonicMs() + settleTimeoutMs;
  for (;;) {
    const answer = await fetch(`${plan.appUrl}/health`, requestOptions()).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok) return;
    signal.throwIfAborted();
    if (monotonicMs() > deadline) {
      throw new DemoFailure(`the app of ${plan.name} does not answer at ${plan.appUrl}${logOf(plan)}`);
    }
    await sleep(pollMs, signal);
  }
}

async function write(primary: NodePlan, signal: AbortSignal): Promise<void> {
  let next = 0;
  const writer = async (): Promise<void> => {
    while (next < writesCount) {
      signal.throwIfAborted();
      const place = visited[next % visited.length];
      next += 1;
      const url = `${primary.appUrl}/places/${place}/visits`;
      const answer = await fetch(url, { ...requestOptions(), method: 'POST' }).catch(failRequest(url));
      const text = await answer.text();
      if (answer.status !== 201) {
        throw new DemoFailure(`a write on ${primary.name} was answered ${answer.status}: ${text.trim()}`);
      }
    }
  };
  await Promise.all(Array.from({ length: writersCount }, writer));
}

/** The number of visits to each of the places written to, as the app of a node reads it. */
async function visitsAt(plan: NodePlan): Promise<number[]> {
  const counts: number[] = [];
  for (const place of visited) {
    const url = `${plan.appUrl}/places/${place}`;
    const answer = await fetch(url, requestOptions()).catch(failRequest(url));
    const body = (await answer.json()) as { place?: { visits: number } };
    if (!body.place) throw new DemoFailure(`${url} was answered ${answer.status}: ${JSON.stringify(body)}`);
    counts.push(body.place.visits);
  }
  return counts;
}

function requestOptions(): RequestInit {
  return { signal: AbortSignal.timeout(requestTimeoutMs) };
}

function failRequest(url: string): (error: unknown) => never {
  return (error) => {
    throw new DemoFailure(`no answer from ${url}`, { cause: error });
  };
}

/** The end of a node's log, to put after a message. */
export function logOf(plan: NodePlan): string {
  const lines = lastLines(plan.logFile, 15);
  return `\nThe last lines of ${plan.logFile}:\n${lines.map((line) => `  ${line}`).join('\n')}`;
}
