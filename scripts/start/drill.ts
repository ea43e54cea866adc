import { monotonicMs } from '../../src/base/clock.ts';
import { messageOf } from '../../src/base/errors.ts';
import { handOff } from './controls.ts';
import { type Demo, DemoFailure, logOf, waitUntil } from './demo-wait.ts';
import type { NodeProcess } from './node-process.ts';
import { isServing, positionOf } from './node-status.ts';
import type { NodeView } from './screen.ts';
import { missingVisits, runningPlans, Visitors } from './visitors.ts';

const visitIntervalMs = 10;
/** Acknowledged before and after each change, so that there is something to lose. */
const visitsBetween = 50;
const stepTimeoutMs = 30_000;

/**
 * One handoff and one kill -9 of the node that leads, both while visits come in, and then the count: every visit that was
 * acknowledged must be on every node. Throws `DemoFailure` with what was wrong.
 */
export async function drill(demo: Demo): Promise<void> {
  const ending = new AbortController();
  const visitors = new Visitors(() => runningPlans(demo.cluster), true);
  const visiting = visitors.run(visitIntervalMs, ending.signal);
  try {
    await moreVisits(demo, visitors);
    await changeByHand(demo, visitors);
    const killed = await changeByKill(demo, visitors);
    await moreVisits(demo, visitors);
    const startedMs = monotonicMs();
    killed.start();
    await waitUntil(demo, `${killed.plan.name} serves again`, stepTimeoutMs, (views) =>
      views.every(({ status }) => isServing(status)),
    );
    demo.terminal.print(`${killed.plan.name} serves again ${seconds(startedMs)} after it was started`);
  } finally {
    ending.abort();
    await visiting;
  }
  await waitUntil(demo, 'all nodes are at one position', stepTimeoutMs, areEqual);
  checkAcknowledged(demo, visitors);
}

/** True when every node holds the same. */
export function areEqual(views: readonly NodeView[]): boolean {
  const positions = views.map(({ status }) => positionOf(status));
  return positions[0] !== undefined && positions.every((position) => position === positions[0]);
}

/** The node that leads. Throws `DemoFailure` when none does. */
export function leaderOf({ watch }: Demo): NodeProcess {
  const leader = watch.leader();
  if (!leader) throw new DemoFailure('no node leads');
  return leader;
}

async function changeByHand(demo: Demo, visitors: Visitors): Promise<void> {
  const before = leaderOf(demo);
  const target = demo.cluster.nodes.find((node) => node !== before) ?? before;
  const [from, to] = [before.plan.name, target.plan.name];
  const tookMs = await handOff(before.plan.apiUrl, to).catch((error: unknown) => {
    throw new DemoFailure(`${from} did not hand over to ${to}: ${messageOf(error)}${logOf(before.plan)}`);
  });
  await waitUntil(demo, `${to} leads`, stepTimeoutMs, () => demo.watch.leader() === target);
  demo.terminal.print(`${from} handed over to ${to} in ${Math.round(tookMs)} ms, while visits came in`);
  await moreVisits(demo, visitors);
}

/** Resolves to the node that was killed. */
async function changeByKill(demo: Demo, visitors: Visitors): Promise<NodeProcess> {
  const { watch, terminal } = demo;
  const killed = leaderOf(demo);
  const { name } = killed.plan;
  const beganMs = monotonicMs();
  killed.kill();
  await waitUntil(demo, `another node leads after ${name} was killed`, stepTimeoutMs, () => {
    const leader = watch.leader();
    return leader !== undefined && leader !== killed;
  });
  const next = leaderOf(demo).plan.name;
  terminal.print(`${next} leads ${seconds(beganMs)} after ${name} was killed with -9`);
  const isFirst = ({ region }: { region: string }): boolean => region === next;
  await waitUntil(demo, `a visit is acknowledged by ${next}`, stepTimeoutMs, () =>
    visitors.acknowledged.some((visit) => isFirst(visit) && visit.atMs > beganMs),
  );
  terminal.print(`the first visit was acknowledged there ${seconds(beganMs)} after the kill`);
  return killed;
}

async function moreVisits(demo: Demo, { acknowledged }: Visitors): Promise<void> {
  const enough = acknowledged.length + visitsBetween;
  const what = `${visitsBetween} visits more are acknowledged`;
  await waitUntil(demo, what, stepTimeoutMs, () => acknowledged.length >= enough);
}

function checkAcknowledged({ cluster, terminal }: Demo, { acknowledged }: Visitors): void {
  for (const { plan } of cluster.nodes) {
    const missing = missingVisits(plan, acknowledged);
    const [first] = missing;
    if (!first) continue;
    const which = `the first is ${first.id}, written in ${first.region} at ${first.visitedAt}`;
    throw new DemoFailure(
      `${plan.name} lacks ${missing.length} of ${acknowledged.length} acknowledged visits: ${which}`,
    );
  }
  terminal.print(`none of ${acknowledged.length} acknowledged visits is missing, on any node`);
}

function seconds(beganMs: number): string {
  return `${((monotonicMs() - beganMs) / 1000).toFixed(1)} s`;
}
