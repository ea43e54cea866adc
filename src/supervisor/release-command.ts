import { SkeinError } from '../base/errors.ts';
import { describeExit } from './app-process.ts';
import { ProcessRun, type RunOptions } from './process-run.ts';

const lastLinesMax = 20;
const lastLineCharactersMax = 500;

export type ReleaseLimits = {
  /** What it is, at the beginning of a sentence. */
  readonly title: string;
  readonly timeoutMs: number;
  readonly killSignal: NodeJS.Signals;
  readonly killTimeoutMs: number;
  /** Stops the command with the kill signal and its time-out. */
  readonly stop: AbortSignal;
  /** Kills the command at once: the node has lost the lead, or is about to. */
  readonly kill: AbortSignal;
};

/**
 * Runs the release command, or another that has to be done first, to its end. Rejects with RELEASE_COMMAND_FAILED, with how it ended and its last lines of
 * output; the command itself is not named, since variables in it are already replaced by what may be secret. Rejects with LEASE_LOST
 * when `kill` was aborted.
 */
export async function runReleaseCommand(options: RunOptions, limits: ReleaseLimits): Promise<void> {
  const lastLines: string[] = [];
  const output: RunOptions['output'] = (line, stream) => {
    lastLines.push(line.slice(0, lastLineCharactersMax));
    if (lastLines.length > lastLinesMax) lastLines.shift();
    return options.output(line, stream);
  };
  const run = await ProcessRun.start({ ...options, output }, AbortSignal.any([limits.stop, limits.kill]));
  let timedOut = false;
  if (run !== undefined) {
    const stop = () => void run.stop(limits.killSignal, limits.killTimeoutMs);
    const kill = () => run.killNow();
    const timer = setTimeout(() => {
      timedOut = true;
      stop();
    }, limits.timeoutMs);
    limits.stop.addEventListener('abort', stop, { once: true });
    limits.kill.addEventListener('abort', kill, { once: true });
    // They aborted while the spawn was on its way.
    if (limits.stop.aborted) stop();
    if (limits.kill.aborted) kill();
    const exit = await run.ended;
    clearTimeout(timer);
    limits.stop.removeEventListener('abort', stop);
    limits.kill.removeEventListener('abort', kill);
    options.event(`${options.name} command ended`, { exit: describeExit(exit) });
    if (timedOut)
      throw failed(limits.title, `was stopped after ${limits.timeoutMs} ms, its time-out`, lastLines);
    if (!limits.stop.aborted && !limits.kill.aborted) {
      if (exit.code === 0) return;
      throw failed(limits.title, `failed with ${describeExit(exit)}`, lastLines);
    }
  }
  if (limits.stop.aborted) throw failed(limits.title, 'was interrupted, because the node stops', lastLines);
  throw new SkeinError(
    'LEASE_LOST',
    `${limits.title} was ${run === undefined ? 'not run' : 'killed'}, since this node has lost the lead, or is losing it. It runs again on the next node to lead that has not started its processes yet.`,
  );
}

function failed(title: string, how: string, lastLines: readonly string[]): SkeinError {
  const output =
    lastLines.length === 0
      ? 'It printed nothing.'
      : `Its last output:\n${lastLines.map((line) => `  ${line}`).join('\n')}`;
  return new SkeinError(
    'RELEASE_COMMAND_FAILED',
    `${title} ${how}, so no process of the app was started. Correct it and start the node again. ${output}`,
  );
}
