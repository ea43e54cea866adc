import { monotonicMs } from '../../src/base/clock.ts';
import { sleep } from '../../src/base/sleep.ts';
import type { Cluster } from './cluster.ts';
import { lastLines } from './log-tail.ts';
import type { NodePlan } from './plan.ts';
import { type NodeView, table } from './screen.ts';
import type { Terminal } from './terminal.ts';
import type { ClusterWatch } from './watch.ts';

/** Something that the demonstration promises and that did not come true. */
export class DemoFailure extends Error {}

export interface Demo {
  cluster: Cluster;
  watch: ClusterWatch;
  terminal: Terminal;
  signal: AbortSignal;
}

const pollMs = 50;

/** Waits until it is true of all nodes, and prints what they log meanwhile. Throws `DemoFailure` when a node ends by itself. */
export async function waitUntil(
  { cluster, watch, terminal, signal }: Demo,
  what: string,
  timeoutMs: number,
  isTrue: (views: readonly NodeView[]) => boolean,
): Promise<NodeView[]> {
  const deadline = monotonicMs() + timeoutMs;
  for (;;) {
    const views = await watch.refresh();
    terminal.printLog(watch.newLines());
    if (isTrue(views)) return views;
    signal.throwIfAborted();
    const dead = cluster.nodes.find((node) => node.exit !== undefined && !node.wasKilled);
    if (dead) throw new DemoFailure(`node ${dead.plan.name} ${dead.exit}${logOf(dead.plan)}`);
    if (monotonicMs() > deadline) {
      const seconds = timeoutMs / 1000;
      const lines = table(views, { columns: 120, color: false });
      throw new DemoFailure(`not within ${seconds} s: ${what}\n${lines.join('\n')}`);
    }
    await sleep(pollMs, signal);
  }
}

/** The end of a node's log, to put after a message. */
export function logOf(plan: NodePlan): string {
  const lines = lastLines(plan.logFile, 15);
  return `\nThe last lines of ${plan.logFile}:\n${lines.map((line) => `  ${line}`).join('\n')}`;
}
