import { monotonicMs } from '../../src/base/clock.ts';
import { sleep } from '../../src/base/sleep.ts';
import type { Cluster } from './cluster.ts';
import { Controls } from './controls.ts';
import { Happenings } from './happenings.ts';
import { keysLine } from './keys.ts';
import { isServing } from './node-status.ts';
import { planLines } from './plan.ts';
import { type NodeView, screen, statusLine } from './screen.ts';
import type { Terminal } from './terminal.ts';
import { runningPlans, Visitors } from './visitors.ts';
import { ClusterWatch } from './watch.ts';

const pollMs = 250;
/** While nobody leads: who does next is told to a tenth of a second. */
const leaderlessPollMs = 50;
const linePauseMs = 5000;
const visitIntervalMs = 100;

/**
 * Shows the cluster until the signal aborts: one screen redrawn in place, with keys, of which one calls `stop`; or lines where
 * there is no terminal.
 */
export async function showLive(
  cluster: Cluster,
  terminal: Terminal,
  signal: AbortSignal,
  stop: () => void,
): Promise<void> {
  if (terminal.isLive) await showScreen(cluster, terminal, signal, stop);
  else await showLines(cluster, terminal, signal);
}

async function showScreen(
  cluster: Cluster,
  terminal: Terminal,
  signal: AbortSignal,
  stop: () => void,
): Promise<void> {
  const watch = new ClusterWatch(cluster);
  const happenings = new Happenings();
  const controls = new Controls(cluster, watch, happenings, stop);
  const began = monotonicMs();
  const draw = (): void => {
    watch.newLines();
    const nodes = watch.views();
    happenings.look(nodes);
    const places = planLines(
      cluster.nodes.map(({ plan }) => plan),
      watch.leader()?.plan.name,
    );
    const shown = { nodes, upMs: monotonicMs() - began, places, log: watch.log, happened: happenings.text };
    const keys = terminal.hasKeys
      ? { keys: keysLine, chosen: controls.chosen.plan.name }
      : { keys: 'Ctrl-C stops' };
    terminal.draw(screen({ ...shown, ...keys }, terminal.size));
  };
  const outlook = new Outlook(cluster, terminal.hasKeys);
  const ending = new AbortController();
  const visitors = new Visitors(() => (outlook.hasStarted ? runningPlans(cluster) : []), false);
  const visiting = visitors.run(visitIntervalMs, ending.signal);
  let isShown = true;
  terminal.enter(draw, (command) => {
    const done = controls.press(command);
    draw();
    void done.then(() => isShown && draw());
  });
  try {
    draw();
    while (!signal.aborted && outlook.isWorthShowing(await watch.refresh())) {
      draw();
      await sleep(watch.leader() ? pollMs : leaderlessPollMs, signal);
    }
  } finally {
    isShown = false;
    terminal.leave();
    ending.abort();
    await visiting;
  }
}

/** One line when something has changed, at most every 5 s; while the nodes start, what they say as well. */
async function showLines(cluster: Cluster, terminal: Terminal, signal: AbortSignal): Promise<void> {
  const watch = new ClusterWatch(cluster);
  const outlook = new Outlook(cluster, false);
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

/** A node that ends by itself while the cluster starts is a failure; one that ends later is something to watch. */
class Outlook {
  readonly #cluster: Cluster;
  /** Whether a node can be brought back by a key: then there is something to show with none running. */
  readonly #hasKeys: boolean;
  hasStarted = false;

  constructor(cluster: Cluster, hasKeys: boolean) {
    this.#cluster = cluster;
    this.#hasKeys = hasKeys;
  }

  isWorthShowing(views: readonly NodeView[]): boolean {
    this.hasStarted ||= views.every(({ status }) => isServing(status));
    const { nodes } = this.#cluster;
    if (!this.hasStarted) return nodes.every(({ exit, wasKilled }) => exit === undefined || wasKilled);
    return this.#hasKeys || nodes.some(({ isRunning }) => isRunning);
  }
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
