import { styleText } from 'node:util';
import { exitCodes, SkeinError, systemCodeOf } from '../base/errors.ts';
import { sleep } from '../base/sleep.ts';
import { findVerb, helpText } from './help.ts';

/** The exit code for a fault in Skein itself: EX_SOFTWARE of sysexits. */
const faultExitCode = 70;
/** How long whoever reads the errors has to take them; what a verb prints on standard output is waited for without an end. */
const lastWordsMs = 3_000;

async function main(argv: readonly string[]): Promise<number> {
  const [first] = argv;
  if (first === undefined) {
    process.stderr.write(await helpText([]));
    return exitCodes.USAGE;
  }
  if (first === 'help' || first === '--help' || first === '-h') {
    process.stdout.write(await helpText(argv.slice(1)));
    return 0;
  }
  const words = first === '--version' ? ['version', ...argv.slice(1)] : argv;
  const { verb, length } = findVerb(words);
  const rest = words.slice(length);
  const { help, run } = await verb.load();
  if (asksForHelp(rest)) {
    process.stdout.write(help);
    return 0;
  }
  return run({ argv: rest, env: process.env, cwd: process.cwd() });
}

function asksForHelp(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return argv.slice(0, end === -1 ? undefined : end).some((word) => word === '--help' || word === '-h');
}

/** Says what went wrong and returns the exit code: one line for an expected failure, all there is for a fault. */
function report(error: unknown): number {
  if (error instanceof SkeinError) {
    const name = styleText('red', 'skein:', { stream: process.stderr });
    const code = styleText('dim', `[${error.code}]`, { stream: process.stderr });
    process.stderr.write(`${name} ${error.message} ${code}\n`);
    return exitCodes[error.code];
  }
  const stack = error instanceof Error ? (error.stack ?? String(error)) : String(error);
  process.stderr.write(`skein: this is a fault in Skein, please report it with these lines.\n${stack}\n`);
  return faultExitCode;
}

/** A pipe takes what its reader has room for: what is still on the way to a slow one would end with the process. */
function drained(stream: NodeJS.WriteStream): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  // A node has ended its output by itself, on the same pipe, which may be full for ever or closed.
  if (stream.writableLength === 0) resolve();
  else stream.write('', () => resolve());
  return promise;
}

// A state that nobody thought of must not go on: the node's processes end with it, and its log repairs the rest.
process.on('uncaughtException', (error) => process.exit(report(error)));
let exitCode = 0;
// `skein events | head` ends when its reader does.
process.stdout.on('error', (error) =>
  process.exit(systemCodeOf(error) === 'EPIPE' ? exitCode : report(error)),
);

// What went wrong cannot be said to a reader that is gone; the exit code still tells.
process.stderr.on('error', () => undefined);

exitCode = await main(process.argv.slice(2)).catch(report);
await drained(process.stdout);
await Promise.race([drained(process.stderr), sleep(lastWordsMs)]);
process.exit(exitCode);
