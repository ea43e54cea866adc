import { flushCompileCache } from 'node:module';
import { SkeinError } from '../base/errors.ts';
import type { Config } from '../config/config.ts';
import { createOutputPrinter, endStandardOutput, openStandardOutput } from '../supervisor/process-output.ts';
import { releaseName, setupName } from '../supervisor/supervisor.ts';
import { Node } from './node.ts';
import { createNodeLog, nodeLogName } from './node-log.ts';

const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Runs a node until a signal, or the end of the one command, stops it. Returns the exit code; throws a start's `SkeinError`. */
export async function runNode(config: Config): Promise<number> {
  const stream = openStandardOutput();
  const colour = process.stdout.isTTY === true && !process.env.NO_COLOR;
  const names = [
    nodeLogName,
    ...(config.releaseCommand === undefined ? [] : [releaseName]),
    ...((config.litefs?.setup.length ?? 0) === 0 ? [] : [setupName]),
    ...config.processes.map(({ name }) => name),
  ];
  const print = createOutputPrinter({ names, stream, colour });
  const log = createNodeLog(print);
  const node = new Node(config, { log, process: print });
  const { promise: stopped, resolve: stop } = Promise.withResolvers<number>();
  for (const signal of stopSignals) process.on(signal, () => stop(0));
  try {
    const started = node.start().then(() => {
      flushCompileCache();
      return new Promise<never>(() => undefined);
    });
    return await Promise.race([started, stopped, node.mainExit, node.failure]);
  } catch (error) {
    if (config.litefs?.exitOnError !== false || !(error instanceof SkeinError)) throw error;
    log.warn('the start failed; exit-on-error is false, so this node stays as it is until it is stopped', {
      code: error.code,
      reason: error.message,
    });
    return await stopped;
  } finally {
    log.notice('the node is stopping');
    await node.stop();
    log.notice('the node has stopped');
    await endStandardOutput(stream);
  }
}
