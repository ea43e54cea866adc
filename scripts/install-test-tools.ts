import { spawnSync } from 'node:child_process';
import { isInstalled, isTestToolName, type TestToolName, testTools } from '../test/tools.ts';

const aptGetLimitMs = 5 * 60_000;

/**
 * Installs the tools of `test/tools.ts` that are missing, where that is possible: as root on a machine with
 * apt-get. Returns the names of those that are still missing, whose tests are skipped.
 */
export function installTestTools(): TestToolName[] {
  const missing = Object.keys(testTools)
    .filter(isTestToolName)
    .filter((name) => !isInstalled(name));
  if (missing.length === 0) return [];

  if (process.platform !== 'linux' || process.getuid?.() !== 0 || !aptGet(['--version'])) {
    tell('cannot be installed here (that takes root and apt-get)', missing);
    return missing;
  }
  tell('will be installed', missing);
  const packages = missing.map((name) => testTools[name].package);
  if (aptGet(['update'])) aptGet(['install', '--yes', '--no-install-recommends', ...packages]);

  const stillMissing = missing.filter((name) => !isInstalled(name));
  if (stillMissing.length > 0) tell('could not be installed', stillMissing);
  return stillMissing;
}

/** Quiet unless it fails; a missing apt-get is a failure without a word. */
function aptGet(args: string[]): boolean {
  const run = spawnSync('apt-get', ['--option', 'DPkg::Lock::Timeout=120', ...args], {
    encoding: 'utf8',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    timeout: aptGetLimitMs,
  });
  if (run.status === 0) return true;
  if (run.stdout || run.stderr)
    console.error(`apt-get ${args.join(' ')} failed:\n${run.stdout}${run.stderr}`);
  return false;
}

function tell(what: string, names: readonly TestToolName[]): void {
  for (const name of names)
    console.error(`${name} is missing and ${what}; it is for ${testTools[name].neededFor}.`);
}
