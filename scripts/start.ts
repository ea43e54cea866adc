// Three nodes of one app on this machine: `npm start`, until Ctrl-C, or `npm start -- --once`.

import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { monotonicMs } from '../src/base/clock.ts';
import { messageOf } from '../src/base/errors.ts';
import { DirectoryClaim } from './start/claim.ts';
import { Cluster } from './start/cluster.ts';
import { showLive } from './start/live.ts';
import { DemoFailure, logOf, runOnce } from './start/once.ts';
import { planLines, planNodes, shortPath } from './start/plan.ts';
import { Terminal } from './start/terminal.ts';

const usage = `npm start [-- OPTIONS]

Starts three nodes on this machine with the app in examples/cities, until Ctrl-C.

  --once    write 300 visits, wait until every replica holds them, show the table, stop
  --fresh   empty .demo/ first: it keeps the data between runs
  --help    show this`;

/** Signals within this time are one Ctrl-C: the terminal sends it to us, and npm sends it on. */
const sameSignalMs = 1000;

const directory = join(import.meta.dirname, '..', '.demo');
const terminal = new Terminal(process.stdout, process.env);
const stopping = new AbortController();
const hurrying = new AbortController();

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (typeof options === 'number') return options;
  listenForSignals();
  try {
    return await run(options.once, options.fresh);
  } catch (error) {
    console.error(messageOf(error));
    return 1;
  }
}

function readOptions(): { once: boolean; fresh: boolean } | number {
  try {
    const { values } = parseArgs({
      options: { once: { type: 'boolean' }, fresh: { type: 'boolean' }, help: { type: 'boolean' } },
    });
    if (values.help) {
      terminal.print(usage);
      return 0;
    }
    return { once: values.once === true, fresh: values.fresh === true };
  } catch (error) {
    console.error(`${messageOf(error)}\n\n${usage}`);
    return 2;
  }
}

function listenForSignals(): void {
  let firstMs: number | undefined;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      firstMs ??= monotonicMs();
      if (stopping.signal.aborted && monotonicMs() - firstMs > sameSignalMs) hurrying.abort();
      stopping.abort(new Error('interrupted'));
    });
  }
}

async function run(once: boolean, fresh: boolean): Promise<number> {
  const { claim, stopped } = await DirectoryClaim.take(directory);
  for (const name of stopped) terminal.print(`stopped node ${name}, which an earlier run had left behind`);
  try {
    if (fresh) empty();
    const plan = await planNodes(directory);
    const cluster = new Cluster(plan.nodes);
    terminal.print(...plan.notes, ...planLines(plan.nodes));
    terminal.print(`logs   ${shortPath(directory)}/*/skein.log`, '');
    claim.note(cluster);
    cluster.start();
    return await showAndStop(cluster, once);
  } finally {
    claim.release();
  }
}

async function showAndStop(cluster: Cluster, once: boolean): Promise<number> {
  let failure: unknown;
  try {
    await (once ? runOnce : showLive)(cluster, terminal, stopping.signal);
    const dead = cluster.nodes.filter((node) => !node.isRunning);
    if (dead.length > 0) {
      const ends = dead.map(({ plan, exit }) => `node ${plan.name} ${exit}${logOf(plan)}`);
      failure = new DemoFailure(ends.join('\n'));
    }
  } catch (error) {
    failure = error;
  }
  terminal.print('stopping');
  const killed = await cluster.stop(hurrying.signal);
  if (failure) console.error(messageOf(failure));
  if (killed.length > 0) console.error(`killed, because it did not stop in time: ${killed.join(', ')}`);
  terminal.print('stopped');
  return failure || killed.length > 0 ? 1 : 0;
}

/** Empties the directory but for the claim on it. */
function empty(): void {
  mkdirSync(directory, { recursive: true });
  for (const name of readdirSync(directory)) {
    if (name !== 'start.json') rmSync(join(directory, name), { recursive: true });
  }
}
