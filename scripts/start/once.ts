import { monotonicMs } from '../../src/base/clock.ts';
import { sleep } from '../../src/base/sleep.ts';
import type { Cluster } from './cluster.ts';
import { type Demo, DemoFailure, logOf, waitUntil } from './demo-wait.ts';
import { areEqual, drill, leaderOf } from './drill.ts';
import { isServing } from './node-status.ts';
import type { NodePlan } from './plan.ts';
import { table } from './screen.ts';
import type { Terminal } from './terminal.ts';
import { visitedPlaces } from './visitors.ts';
import { ClusterWatch } from './watch.ts';

const startTimeoutMs = 180_000;
const settleTimeoutMs = 60_000;
const requestTimeoutMs = 15_000;
const pollMs = 100;
const writesCount = 300;
const writersCount = 6;

/**
 * Starts, writes, waits until every replica holds the writes, reads them there, changes who leads in two ways, and shows the
 * table. Throws `DemoFailure` with what was wrong.
 */
export async function runOnce(cluster: Cluster, terminal: Terminal, signal: AbortSignal): Promise<void> {
  const watch = new ClusterWatch(cluster);
  const demo: Demo = { cluster, watch, terminal, signal };
  await waitUntil(demo, 'every node serves its app', startTimeoutMs, (views) =>
    views.every(({ status }) => isServing(status)),
  );
  await cluster.started;
  await Promise.all(cluster.nodes.map(({ plan }) => waitForApp(plan, signal)));
  await watch.refresh();
  await writeAndRead(demo);
  terminal.print('');
  await drill(demo);
  terminal.print('', ...table(await watch.refresh(), terminal.size), '');
}

async function writeAndRead(demo: Demo): Promise<void> {
  const { cluster, terminal, signal } = demo;
  const { plan: primary } = leaderOf(demo);
  const before = await visitsAt(primary);
  const began = monotonicMs();
  await write(primary, signal);
  const tookMs = monotonicMs() - began;
  terminal.print(`${writesCount} visits written on ${primary.name} in ${Math.round(tookMs)} ms`);

  await waitUntil(demo, 'every replica is at the position of the primary', settleTimeoutMs, areEqual);
  const settledMs = monotonicMs() - began - tookMs;
  terminal.print(`every replica held them ${Math.round(settledMs)} ms later, at most`);

  const expected = before.map((count) => count + writesCount / visitedPlaces.length);
  for (const { plan } of cluster.nodes) {
    if (plan === primary) continue;
    const found = await visitsAt(plan);
    if (found.join() !== expected.join()) {
      throw new DemoFailure(
        `the app of ${plan.name} reads ${found.join(', ')} visits instead of ${expected.join(', ')}`,
      );
    }
    terminal.print(`the app of ${plan.name} reads all of them from its own file`);
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
      const place = visitedPlaces[next % visitedPlaces.length];
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
  for (const place of visitedPlaces) {
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
