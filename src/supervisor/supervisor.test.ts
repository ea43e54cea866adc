import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { type TestContext, test } from 'node:test';
import type { ProcessSpec, SupervisorOptions } from './supervisor.ts';
import { isAlive, Watched, waitUntilGone } from './test-support.ts';

const linux = process.platform === 'linux';

/** Prints `up PID`, then stays until a signal comes. */
const stay = 'echo "up $$"; while :; do sleep 1; done';
const web: ProcessSpec = { name: 'web', command: stay, on: 'all' };
const worker: ProcessSpec = { name: 'worker', command: stay, on: 'primary' };

function watch(
  context: TestContext,
  processes: readonly ProcessSpec[],
  overrides: Partial<SupervisorOptions> = {},
): Watched {
  const watched = new Watched(processes, overrides);
  context.after(() => {
    watched.supervisor.kill('all');
    return watched.supervisor.stop();
  });
  return watched;
}

function states(watched: Watched): Record<string, string> {
  return Object.fromEntries(watched.supervisor.status().map((status) => [status.name, status.state]));
}

test('each role runs exactly its processes, and a change of role touches no other', async (context) => {
  const watched = watch(context, [web, worker]);
  await watched.supervisor.setRole('replica');
  assert.deepEqual(states(watched), { web: 'running', worker: 'stopped' });
  const [before] = watched.supervisor.status();
  await watched.supervisor.setRole('primary');
  assert.deepEqual(states(watched), { web: 'running', worker: 'running' });
  const workerPid = watched.supervisor.status()[1]?.pid ?? 0;
  await watched.supervisor.setRole('replica');
  assert.equal(isAlive(workerPid), false);
  assert.deepEqual(watched.supervisor.status()[0], before);
  await watched.supervisor.setRole('none');
  assert.deepEqual(states(watched), { web: 'stopped', worker: 'stopped' });
  assert.equal(watched.supervisor.status()[0]?.lastExit, 'signal SIGTERM');
});

test('the last of several calls of setRole decides, and all of them wait for it', async (context) => {
  const watched = watch(context, [web, worker]);
  const calls = (['primary', 'none', 'primary', 'replica'] as const).map((role) =>
    watched.supervisor.setRole(role),
  );
  await Promise.all(calls);
  assert.deepEqual(states(watched), { web: 'running', worker: 'stopped' });
});

test('a command is a line for the shell with exactly the given environment and its own name', async (context) => {
  process.env.SKEIN_TEST_ONLY_OF_THE_NODE = 'x';
  const command = `echo "port=$PORT names=$SKEIN_PROCESS,$FLY_PROCESS_GROUP node=$SKEIN_TEST_ONLY_OF_THE_NODE" | cat; pwd -P; ${stay}`;
  const watched = watch(context, [{ name: 'web', command, on: 'all' }], { workingDirectory: '/' });
  await watched.supervisor.setRole('replica');
  await watched.line(/up/);
  assert.deepEqual(watched.lines.slice(0, 2), ['web: port=8080 names=web,web node=', 'web: /']);
});

test('a program with arguments runs without a shell', async (context) => {
  const argv = [
    process.execPath,
    '-e',
    'console.log(process.argv[1]); setInterval(() => {}, 1000)',
    '$PORT  a;b',
  ];
  const watched = watch(context, [{ name: 'web', command: 'node', argv, on: 'all' }]);
  await watched.supervisor.setRole('replica');
  assert.equal(await watched.line(/PORT/), 'web: $PORT  a;b');
});

test('a process that ends, with success too, is started again and counted', async (context) => {
  const watched = watch(context, [
    { name: 'fails', command: 'echo up; exit 3', on: 'all' },
    { name: 'ends', command: 'echo up; exit 0', on: 'all' },
    { name: 'missing', command: 'skein-no-such-program', on: 'all' },
  ]);
  await watched.supervisor.setRole('replica');
  const upTwice = (name: string) => watched.lines.filter((line) => line === `${name}: up`).length >= 2;
  await watched.until(() => upTwice('fails') && upTwice('ends'), 'second start of both');
  const [fails, ends, missing] = watched.supervisor.status();
  assert.ok(fails && ends && missing && fails.restarts >= 1 && ends.restarts >= 1);
  assert.equal(fails.lastExit, 'exit code 3');
  assert.equal(ends.lastExit, 'exit code 0');
  assert.equal(missing.lastExit, 'exit code 127 (the shell does not find the command)');
});

test('when the first process of a group ends, the rest of the group is killed before the next start', async (context) => {
  const command = `sh -c 'trap "" TERM; echo "rest $$"; while :; do sleep 1; done' & sleep 0.2; exit 1`;
  const watched = watch(context, [{ name: 'web', command, on: 'all' }]);
  await watched.supervisor.setRole('replica');
  const rest = await watched.number('rest');
  await watched.until(
    () => watched.events.includes('process is started again after a pause'),
    'end of the first run',
  );
  assert.equal(isAlive(rest), false);
});

test('a process that left its group dies with the process that started it', {
  skip: !linux,
}, async (context) => {
  const command = `setsid sh -c 'echo "daemon $$"; while :; do sleep 1; done' & ${stay}`;
  const watched = watch(context, [web, { name: 'worker', command, on: 'primary' }]);
  await watched.supervisor.setRole('primary');
  const daemon = await watched.number('daemon');
  await watched.supervisor.setRole('replica');
  assert.equal(isAlive(daemon), false);
  assert.deepEqual(states(watched), { web: 'running', worker: 'stopped' });
});

test('the kill signal reaches the whole group, which has its time even when the shell dies at once', async (context) => {
  const code = `process.on('SIGTERM', () => setTimeout(() => { console.log('drained'); process.exit() }, 300));
    console.log('up ' + process.pid); setInterval(() => {}, 1000)`;
  const argv = ['/bin/sh', '-c', '"$0" -e "$1"; true', process.execPath, code];
  const watched = watch(context, [{ name: 'web', command: 'sh', argv, on: 'all' }], {
    killTimeoutMs: 60_000,
  });
  await watched.supervisor.setRole('replica');
  const server = await watched.number('up');
  await watched.supervisor.setRole('none');
  assert.equal(isAlive(server), false);
  assert.ok(watched.lines.includes('web: drained'));
  assert.equal(watched.supervisor.status()[0]?.lastExit, 'signal SIGTERM');
});

test('what ignores the kill signal is killed after the time-out', async (context) => {
  const command = `trap "" TERM; ${stay}`;
  const watched = watch(context, [{ name: 'web', command, on: 'all' }], { killTimeoutMs: 200 });
  await watched.supervisor.setRole('replica');
  const pid = await watched.number('up');
  await watched.supervisor.stop();
  assert.equal(isAlive(pid), false);
  assert.ok(watched.events.includes('process did not stop in time and is killed'));
  assert.equal(watched.supervisor.status()[0]?.lastExit, 'signal SIGKILL');
});

test('a paused process is stopped in time too', async (context) => {
  const watched = watch(context, [web], { killTimeoutMs: 60_000 });
  await watched.supervisor.setRole('replica');
  process.kill(await watched.number('up'), 'SIGSTOP');
  await watched.supervisor.stop();
  assert.equal(watched.supervisor.status()[0]?.lastExit, 'signal SIGTERM');
});

test('killNow kills at once and nothing starts until a role is set, even the same one', async (context) => {
  const watched = watch(context, [web, worker], { killTimeoutMs: 60_000 });
  await watched.supervisor.setRole('primary');
  const before = watched.supervisor.status().map((status) => status.pid ?? 0);
  watched.supervisor.kill('all');
  await waitUntilGone(before);
  await watched.supervisor.setRole('none');
  assert.deepEqual(states(watched), { web: 'stopped', worker: 'stopped' });
  await watched.supervisor.setRole('primary');
  watched.supervisor.kill('all');
  await watched.supervisor.setRole('primary');
  assert.deepEqual(states(watched), { web: 'running', worker: 'running' });
});

test('killNow during a slow stop and during a start leaves nothing running', async (context) => {
  const watched = watch(context, [{ name: 'web', command: `trap "" TERM; ${stay}`, on: 'all' }, worker], {
    killTimeoutMs: 60_000,
  });
  const starting = watched.supervisor.setRole('primary');
  watched.supervisor.kill('all');
  await starting;
  assert.deepEqual(states(watched), { web: 'stopped', worker: 'stopped' });
  await watched.supervisor.setRole('primary');
  await watched.line(/web: up/);
  const stopping = watched.supervisor.stop();
  watched.supervisor.kill('all');
  await stopping;
  assert.deepEqual(states(watched), { web: 'stopped', worker: 'stopped' });
});

test('after stop a role starts nothing', async (context) => {
  const watched = watch(context, [web]);
  await watched.supervisor.stop();
  await watched.supervisor.setRole('primary');
  assert.deepEqual(states(watched), { web: 'stopped' });
});

test('a missing program is an error that names it, and the others run', async (context) => {
  const missing: ProcessSpec = { name: 'missing', command: 'x', argv: ['skein-no-such-program'], on: 'all' };
  const watched = watch(context, [missing, web]);
  await assert.rejects(watched.supervisor.setRole('replica'), {
    code: 'COMMAND_NOT_FOUND',
    message: /"missing" cannot start: there is no program "skein-no-such-program".*correct the command/,
  });
  assert.deepEqual(states(watched), { missing: 'stopped', web: 'running' });
});

test('a missing working directory is an error that names it', async (context) => {
  const watched = watch(context, [web], { workingDirectory: '/skein-no-such-directory' });
  await assert.rejects(watched.supervisor.setRole('replica'), {
    code: 'COMMAND_NOT_FOUND',
    message: /working directory \/skein-no-such-directory does not exist/,
  });
});

test('a program that is not executable is an error that says so', async (context) => {
  const file: ProcessSpec = { name: 'web', command: 'x', argv: [import.meta.filename], on: 'all' };
  const watched = watch(context, [file], { workingDirectory: tmpdir() });
  await assert.rejects(watched.supervisor.setRole('replica'), {
    code: 'COMMAND_NOT_FOUND',
    message: /chmod \+x/,
  });
});

test('the main process is not started again and gives its exit code', async (context) => {
  for (const [command, code] of [
    ['exit 7', 7],
    ['exit 0', 0],
    ['kill -9 $$', 137],
  ] as const) {
    const watched = watch(context, [{ name: 'main', command, on: 'all' }], { exitWithMain: true });
    await watched.supervisor.setRole('primary');
    assert.equal(await watched.supervisor.mainExit, code);
    await watched.supervisor.setRole('replica');
    assert.deepEqual(states(watched), { main: 'exited' });
  }
});

test('the main process that stop ends gives its exit code, and one that a role ends does not', async (context) => {
  const watched = watch(context, [{ ...web, command: `trap "exit 9" TERM; ${stay}` }], {
    exitWithMain: true,
  });
  await watched.supervisor.setRole('primary');
  // The shell may print a line of its own when its child is stopped.
  const starts = () => watched.lines.filter((line) => line.startsWith('web: up')).length;
  await watched.until(() => starts() === 1, 'first start');
  await watched.supervisor.setRole('none');
  assert.equal(await Promise.race([watched.supervisor.mainExit, Promise.resolve('open')]), 'open');
  await watched.supervisor.setRole('primary');
  await watched.until(() => starts() === 2, 'second start');
  await watched.supervisor.stop();
  assert.equal(await watched.supervisor.mainExit, 9);
});
