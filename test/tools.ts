import { spawnSync } from 'node:child_process';

/** A program that some tests need and that npm cannot bring. */
export interface TestTool {
  /** The Debian package that holds it. */
  package: string;
  /** A call that exits 0 where the program works. */
  probe: readonly [string, ...string[]];
  neededFor: string;
}

export const testTools = {
  sqlite3: {
    package: 'sqlite3',
    probe: ['sqlite3', '--version'],
    neededFor: 'checking databases with the SQLite that everybody has',
  },
  python3: {
    package: 'python3',
    probe: ['python3', '-c', 'import sqlite3'],
    neededFor: 'writers and readers in another language',
  },
  flask: {
    package: 'python3-flask',
    probe: ['python3', '-c', 'import flask'],
    neededFor: 'examples/python, an app in another language',
  },
  'redis-server': {
    package: 'redis-server',
    probe: ['redis-server', '--version'],
    neededFor: 'the lease in Redis',
  },
  'etcd-server': {
    package: 'etcd-server',
    probe: ['etcd', '--version'],
    neededFor: 'leases in a real etcd',
  },
  chromium: {
    package: 'chromium',
    probe: ['chromium', '--version'],
    neededFor: 'pages in a real browser',
  },
} as const satisfies Record<string, TestTool>;

export type TestToolName = keyof typeof testTools;

/** Set by `npm test` to the names of the tools that it could not install, separated by blanks. */
export const missingToolsVariable = 'SKEIN_TEST_MISSING_TOOLS';

export function isTestToolName(name: string): name is TestToolName {
  return Object.hasOwn(testTools, name);
}

/** Whether the program runs here, found out by running it. */
export function isInstalled(name: TestToolName): boolean {
  const [program, ...args] = testTools[name].probe;
  return spawnSync(program, args, { stdio: 'ignore', timeout: 20_000 }).status === 0;
}

/** For a test's `skip` option: false where the tool is there, else the reason and the command to run. */
export function skipWithout(name: TestToolName): string | false {
  const missing = process.env[missingToolsVariable];
  const isMissing = missing === undefined ? !isInstalled(name) : missing.split(' ').includes(name);
  return isMissing && `${name} is missing, install it with: apt-get install ${testTools[name].package}`;
}
