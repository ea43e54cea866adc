import { monotonicMs } from '../../src/base/clock.ts';
import { sleep } from '../../src/base/sleep.ts';
import type { Cluster } from './cluster.ts';
import { planLines } from './plan.ts';
import { type NodeView, screen, statusLine } from './screen.ts';
import type { Terminal } from './terminal.ts';
import { ClusterWatch } from './watch.ts';

const pollMs = 500;
const linePauseMs = 5000;

/** Shows the cluster until the signal aborts: one screen redrawn in place, or lines where there is no terminal. */
export async function showLive(cluster: Cluster, terminal: Terminal, signal: AbortSignal): Promise<void> {
  if (terminal.isLive) await showScreen(cluster, terminal, signal);
  else await showLines(cluster, terminal, signal);
}

async function showScreen(cluster: Cluster, terminal: Terminal, signal: AbortSignal): Promise<void> {
  const watch = new ClusterWatch(cluster);
  const began = monotonicMs();
  const places = planLines(cluster.nodes.map(({ plan }) => plan));
  const draw = (): void => {
    watch.newLines();
    const state = { nodes: watch.views(), upMs: monotonicMs() - began, places, log: watch.log };
    terminal.draw(screen({ ...state, keys: 'Ctrl-C stops' }, terminal.size));
  };
  const outlook = new Outlook(cluster);
  terminal.enter(draw);
  try {
    draw();
    while (!signal.aborted && outlook.isWorthShowing(await watch.refresh())) {
      draw();
      await sleep(pollMs, signal);
    }
  } finally {
    terminal.leave();
  }
}

/** One line when something has changed, at most every 5 s; while the nodes start, what they say as well. */
async function showLines(cluster: Cluster, terminal: Terminal, signal: AbortSignal): Promise<void> {
  const watch = new ClusterWatch(cluster);
  const outlook = new Outlook(cluster);
  let shown = '';
  let shownMs = -linePauseMs;
  while (!signal.aborted) {
    const views = await watch.refresh();
    const lines = watch.newLines();
    if (!outlook.hasStarted) terminal.printLog(lines);
    if (!outlook.isWorthShowing(views)) return;
    const key = changeKey(views);
    if (key !== shown && monotonicMs() - shownMs >= linePauseMs) {
      terminal.print(statusLine(views));
      shown = key;
      shownMs = monotonicMs();
    }
    await sleep(pollMs, signal);
  }
}

/** A node that ends while the cluster starts is a failure; one that ends later is something to watch. */
class Outlook {
  readonly #cluster: Cluster;
  hasStarted = false;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  isWorthShowing(views: readonly NodeView[]): boolean {
    this.hasStarted ||= views.every(isReady);
    const { nodes } = this.#cluster;
    return this.hasStarted ? nodes.some((node) => node.isRunning) : nodes.every((node) => node.isRunning);
  }
}

/** True once the node serves: it has the database, and all of its processes run. */
export function isReady({ status }: NodeView): boolean {
  if (!status || Object.keys(status.databases).length === 0 || status.processes.length === 0) return false;
  return status.processes.every(
    ({ on, state }) => state === 'running' || (on === 'primary' && status.role === 'replica'),
  );
}

/** What counts as a change: not the lag and the rate, which never stand still. */
function changeKey(views: readonly NodeView[]): string {
  return JSON.stringify(
    views.map(({ trouble, status }) => [
      trouble,
      status?.role,
      status?.primary?.node,
      Object.values(status?.databases ?? {}).map(({ txid }) => txid),
      status?.processes.map(({ state, restarts }) => [state, restarts]),
    ]),
  );
}
