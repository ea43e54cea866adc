// Three nodes of one app on this machine: `npm start`, until Ctrl-C, or `npm start -- --once`.

import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { monotonicMs } from '../src/base/clock.ts';
import { messageOf } from '../src/base/errors.ts';
import { DirectoryClaim } from './start/claim.ts';
import { Cluster } from './start/cluster.ts';
import { DemoFailure, logOf } from './start/demo-wait.ts';
import { showLive } from './start/live.ts';
import { runOnce } from './start/once.ts';
import { planLines, planNodes, shortPath } from './start/plan.ts';
import { Terminal } from './start/terminal.ts';

const usage = `npm start [-- OPTIONS]

Starts three nodes on this machine with the app in examples/cities, until Ctrl-C.
In a terminal, keys kill a node, bring it back, pause it, and hand the lead to it.

  --once    write 300 visits, read them on every node, hand the lead over, kill the node that
            leads, count what was acknowledged, show the table, stop
  --dir DIR keep the data there instead of in .demo/
  --fresh   empty that directory first: it keeps the data between runs
  --help    show this`;

interface Options {
  once: boolean;
  fresh: boolean;
  directory: string;
}

/** Signals within this time are one Ctrl-C: the terminal sends it to us, and npm sends it on. */
const sameSignalMs = 1000;

const usualDirectory = join(import.meta.dirname, '..', '.demo');
const terminal = new Terminal(process.stdin, process.stdout, process.env);
const stopping = new AbortController();
const hurrying = new AbortController();
let firstStopMs: number | undefined;

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (typeof options === 'number') return options;
  listenForSignals();
  try {
    return await run(options);
  } catch (error) {
    console.error(messageOf(error));
    return 1;
  }
}

function readOptions(): Options | number {
  try {
    const { values } = parseArgs({
      options: {
        once: { type: 'boolean' },
        dir: { type: 'string' },
        fresh: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    });
    if (values.help) {
      terminal.print(usage);
      return 0;
    }
    const directory = values.dir === undefined ? usualDirectory : resolve(values.dir);
    return { once: values.once === true, fresh: values.fresh === true, directory };
  } catch (error) {
    console.error(`${messageOf(error)}\n\n${usage}`);
    return 2;
  }
}

function listenForSignals(): void {
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) process.on(name, stop);
}

/** Stops everything; asked again a while later, in a hurry. */
function stop(): void {
  firstStopMs ??= monotonicMs();
  if (monotonicMs() - firstStopMs > sameSignalMs) hurrying.abort();
  stopping.abort(new Error('interrupted'));
}

async function run({ once, fresh, directory }: Options): Promise<number> {
  const { claim, stopped } = await DirectoryClaim.take(directory);
  for (const name of stopped) terminal.print(`stopped node ${name}, which an earlier run had left behind`);
  try {
    if (fresh) empty(directory);
    const plan = await planNodes(directory);
    const cluster = new Cluster(plan);
    terminal.print(...plan.notes, ...planLines(plan.nodes));
    terminal.print(`logs   ${shortPath(directory)}/*/skein.log`, '');
    claim.note(cluster);
    cluster.start(stopping.signal);
    return await showAndStop(cluster, once);
  } finally {
    claim.release();
  }
}

async function showAndStop(cluster: Cluster, once: boolean): Promise<number> {
  let failure: unknown;
  try {
    if (once) await runOnce(cluster, terminal, stopping.signal);
    else await showLive(cluster, terminal, stopping.signal, stop);
    const dead = cluster.nodes.filter(({ exit, wasKilled }) => exit !== undefined && !wasKilled);
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
function empty(directory: string): void {
  mkdirSync(directory, { recursive: true });
  for (const name of readdirSync(directory)) {
    if (name !== 'start.json') rmSync(join(directory, name), { recursive: true });
  }
}
