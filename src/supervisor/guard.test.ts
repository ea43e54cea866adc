import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isAlive, waitUntilGone } from './test-support.ts';

const guardScript = fileURLToPath(new URL('./guard.sh', import.meta.url));
const linux = process.platform === 'linux';

/** Prints its own id with the label, then stays; `$1` ignores the polite signals. */
const stubborn = `trap '' TERM HUP INT; echo "stubborn $$"; while :; do sleep 1; done`;
const app = `${linux ? `setsid sh -c 'echo "daemon $$"; while :; do sleep 1; done' & ` : ''}
  sh -c 'echo "child $$"; while :; do sleep 1; done' & echo "shell $$"; wait`;

/** Code of a process that runs an app as a node does. */
const nodeCode = `
  import { readdirSync } from 'node:fs';
  import { Supervisor } from ${JSON.stringify(new URL('./supervisor.ts', import.meta.url).href)};
  const supervisor = new Supervisor({
    processes: [
      { name: 'app', command: process.env.TEST_APP, on: 'all' },
      { name: 'stubborn', command: process.env.TEST_STUBBORN, on: 'all' },
    ],
    environment: { PATH: process.env.PATH },
    workingDirectory: '/',
    killSignal: 'SIGTERM',
    killTimeoutMs: 5000,
    output: (name, line) => console.log(line),
    event: () => undefined,
  });
  await supervisor.setRole('replica');
  process.on('SIGUSR2', () => supervisor.stop());
  process.on('SIGUSR1', () => process.exit(3));`;

class NodeProcess {
  readonly process: ChildProcess;
  readonly pids = new Map<string, number>();
  readonly #labels = linux ? ['shell', 'child', 'daemon', 'stubborn'] : ['shell', 'child', 'stubborn'];

  constructor(context: TestContext) {
    this.process = spawn(process.execPath, ['--input-type=module', '-e', nodeCode], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, TEST_APP: app, TEST_STUBBORN: stubborn },
    });
    context.after(() => {
      this.process.kill('SIGKILL');
      for (const pid of this.pids.values()) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
    });
  }

  /** The ids of all processes of the app, once each has printed its own. */
  async ready(): Promise<number[]> {
    assert.ok(this.process.stdout);
    const lines = createInterface(this.process.stdout);
    for await (const line of lines) {
      const [name, pid] = line.split(' ');
      this.pids.set(name ?? '', Number(pid));
      if (this.#labels.every((each) => this.pids.has(each))) break;
    }
    return [...this.pids.values()];
  }

  guardPid(): number {
    const out = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' });
    const line = out.split('\n').find((each) => {
      const [, parent, ...args] = each.trim().split(/\s+/);
      return Number(parent) === this.process.pid && args.includes(guardScript);
    });
    return Number(line?.trim().split(/\s+/)[0]);
  }
}

test('a node killed with SIGKILL leaves nothing: not a shell, a daemon of its own session or one that ignores SIGTERM', async (context) => {
  const node = new NodeProcess(context);
  const pids = await node.ready();
  const guard = node.guardPid();
  assert.ok(pids.every(isAlive) && isAlive(guard));
  node.process.kill('SIGKILL');
  await waitUntilGone([...pids, guard]);
});

test('a node that exits without stop() leaves nothing', async (context) => {
  const node = new NodeProcess(context);
  const pids = await node.ready();
  const guard = node.guardPid();
  node.process.kill('SIGUSR1');
  await once(node.process, 'exit');
  await waitUntilGone([...pids, guard]);
});

test('a clean stop leaves nothing and lets the node end by itself', async (context) => {
  const node = new NodeProcess(context);
  const pids = await node.ready();
  const guard = node.guardPid();
  node.process.kill('SIGUSR2');
  // The stubborn one would need the whole time-out; the others stop by themselves.
  process.kill(node.pids.get('stubborn') ?? 0, 'SIGKILL');
  const [code] = await once(node.process, 'exit');
  assert.equal(code, 0);
  assert.deepEqual([...pids, guard].filter(isAlive), []);
});

test('a guard that was killed is replaced, and the new one knows the processes of before', {
  timeout: 30_000,
}, async (context) => {
  const node = new NodeProcess(context);
  const pids = await node.ready();
  const guard = node.guardPid();
  process.kill(guard, 'SIGKILL');
  await waitUntilGone([guard]);
  // Bounded by the test's own time-out.
  while (!node.guardPid()) await delay(10);
  const next = node.guardPid();
  // The processes were not touched by the change of guards.
  assert.ok(pids.every(isAlive));
  node.process.kill('SIGKILL');
  await waitUntilGone([...pids, next]);
});

test('signals of the terminal and of a service manager do not end the guard', async (context) => {
  const node = new NodeProcess(context);
  const pids = await node.ready();
  const guard = node.guardPid();
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'] as const) process.kill(guard, signal);
  node.process.kill('SIGKILL');
  await waitUntilGone([...pids, guard]);
});

test('the groups that the guard was told of die also where environments cannot be read', async () => {
  const kept = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
  const killed = spawn('sh', ['-c', 'sleep 60 & sleep 60'], { detached: true, stdio: 'ignore' });
  const guard = spawn('/bin/sh', [guardScript, 'a-token-that-nobody-has'], {
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  try {
    const exit = once(killed, 'exit');
    guard.stdin.end(`add ${kept.pid}\nadd ${killed.pid}\nremove ${kept.pid}\n`);
    assert.deepEqual(await exit, [null, 'SIGKILL']);
    await once(guard, 'exit');
    assert.ok(isAlive(kept.pid ?? 0));
  } finally {
    kept.kill('SIGKILL');
  }
});

test('a grep that stops at the first NUL byte, as of BusyBox, is good enough', { skip: !linux }, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'skein-guard-'));
  const grep = execFileSync('sh', ['-c', 'command -v grep'], { encoding: 'utf8' }).trim();
  writeFileSync(join(directory, 'grep'), `#!/bin/sh\n[ "$2" = -a ] && exit 1\nexec ${grep} "$@"\n`);
  chmodSync(join(directory, 'grep'), 0o755);
  const token = `test-${process.pid}-${Date.now()}`;
  const marked = spawn('sleep', ['60'], {
    stdio: 'ignore',
    env: { FIRST: '1', SKEIN_GUARD: `${token}.1.`, LAST: '2' },
  });
  try {
    const exit = once(marked, 'exit');
    const guard = spawn('/bin/sh', [guardScript, token], {
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { PATH: `${directory}:${process.env.PATH}` },
    });
    guard.stdin.end();
    assert.deepEqual(await exit, [null, 'SIGKILL']);
    await once(guard, 'exit');
  } finally {
    marked.kill('SIGKILL');
    rmSync(directory, { recursive: true });
  }
});
