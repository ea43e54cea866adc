import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { missingToolsVariable } from '../test/tools.ts';
import { installTestTools } from './install-test-tools.ts';
import { readArguments, selectTestFiles } from './test/arguments.ts';
import { fileLimitVariable } from './test/file-limit.ts';
import { LeakCheck, runVariable } from './test/leak-check.ts';

/**
 * `npm test [-- PATH… --FLAG…]`: the test files whose path begins with one of the given paths, or all. Flags go
 * to Node's test runner (`--test-name-pattern=lag`). `npm run test:soak -- --seed N --minutes M` is the run of faults alone.
 * The exit code is the runner's, or 1 when a test left a process behind.
 */
const root = resolve(import.meta.dirname, '..');
const { flags, prefixes, faults } = readArguments(process.argv.slice(2), process.cwd(), root);
/** What a run of faults needs beside its minutes is less than any other test may take. */
const testLimitMs = (5 + Number(faults.minutes ?? 0)) * 60_000;
const fileLimitMs = 2 * testLimitMs;
const files = selectTestFiles(root, prefixes);

if (files.length === 0) {
  console.error(`No test file begins with ${prefixes.join(' or ')}. Give paths, and flags as --name=value.`);
  process.exitCode = 1;
} else {
  process.exitCode = await run();
}

async function run(): Promise<number> {
  const missingTools = installTestTools();
  const runId = randomUUID();
  const leakCheck = new LeakCheck(root, runId);
  const reporter = process.stdout.isTTY ? 'spec' : './scripts/test/summary-reporter.ts';
  const args = [
    '--test',
    '--test-concurrency=3',
    `--test-timeout=${testLimitMs}`,
    '--import=./scripts/test/file-limit.ts',
  ];
  if (!flags.some((flag) => flag.startsWith('--test-reporter'))) args.push(`--test-reporter=${reporter}`);

  const runner = spawn(process.execPath, [...args, ...flags, ...files], {
    cwd: root,
    stdio: 'inherit',
    env: {
      // Where `bin/skein` keeps it too: hundreds of processes strip the types of the same files otherwise.
      NODE_COMPILE_CACHE: resolve(root, 'node_modules/.cache/skein'),
      ...process.env,
      ...(faults.seed === undefined ? {} : { SKEIN_TEST_SOAK_SEED: faults.seed }),
      ...(faults.minutes === undefined ? {} : { SKEIN_TEST_SOAK_MINUTES: faults.minutes }),
      [missingToolsVariable]: missingTools.join(' '),
      [runVariable]: runId,
      [fileLimitVariable]: String(fileLimitMs),
    },
  });
  // A terminal's Ctrl-C reaches the runner by itself; this process stays to look for what was left behind.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => runner.kill('SIGTERM'));
  const [code] = await once(runner, 'exit');

  const leaked = await leakCheck.killLeaked();
  for (const { pid, command } of leaked) {
    console.error(`A test left process ${pid} behind, it has been killed: ${command}`);
  }
  return leaked.length > 0 ? 1 : (code ?? 1);
}
