import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Guard } from './guard.ts';
import { ProcessRun, type RunOptions } from './process-run.ts';

async function run(
  command: string,
  output: RunOptions['output'],
): Promise<{ run: ProcessRun; guard: Guard }> {
  const guard = new Guard(() => undefined);
  const started = await ProcessRun.start(
    {
      name: 'test',
      command,
      environment: { PATH: process.env.PATH ?? '' },
      workingDirectory: '/',
      guard,
      output,
      event: () => undefined,
    },
    new AbortController().signal,
  );
  assert.ok(started);
  return { run: started, guard };
}

test('all output is there when the run has ended, an unfinished last line too', async () => {
  const lines: string[] = [];
  const command =
    'i=0; while [ $i -lt 5000 ]; do echo "line $i"; i=$((i+1)); done; printf rest; printf error >&2';
  const { run: started, guard } = await run(command, (line, stream) => void lines.push(`${stream} ${line}`));
  assert.deepEqual(await started.ended, { code: 0, signal: null });
  assert.equal(lines.length, 5002);
  assert.ok(
    lines.includes('stdout line 4999') && lines.includes('stdout rest') && lines.includes('stderr error'),
  );
  await guard.stop();
});

test('a process may open its output by name', async () => {
  const lines: string[] = [];
  const { run: started, guard } = await run(
    'echo one > /dev/stdout; echo two > /dev/stderr',
    (line) => void lines.push(line),
  );
  assert.deepEqual(await started.ended, { code: 0, signal: null });
  assert.deepEqual(lines.sort(), ['one', 'two']);
  await guard.stop();
});

test('a process has no input', async () => {
  const { run: started, guard } = await run('read -r line && exit 1; exit 5', () => undefined);
  assert.deepEqual(await started.ended, { code: 5, signal: null });
  await guard.stop();
});

test('a process whose output nobody takes waits, and goes on when there is room', async () => {
  const room = Promise.withResolvers<void>();
  let lines = 0;
  let told = 0;
  const toldEnough = Promise.withResolvers<void>();
  // Each line on the second stream says that the first was written to, 10 kB at a time.
  const command = `line=$(printf '%01000d' 0); i=0; while [ $i -lt 100 ]; do
    j=0; while [ $j -lt 10 ]; do echo "$line"; j=$((j+1)); done; echo $i >&2; i=$((i+1)); done`;
  const { run: started, guard } = await run(command, (_line, stream) => {
    if (stream === 'stdout') {
      lines++;
      return room.promise;
    }
    if (++told === 5) toldEnough.resolve();
    return undefined;
  });
  await toldEnough.promise;
  // 1 MB is to come; a pipe and the reading side hold 64 KiB each.
  const first = await Promise.race([
    started.ended,
    new Promise((resolve) => setTimeout(resolve, 300, 'waiting')),
  ]);
  assert.equal(first, 'waiting');
  assert.equal(lines, 1);
  assert.ok(told < 30, `${told * 10} kB were taken`);
  room.resolve();
  await started.ended;
  assert.equal(lines, 1000);
  await guard.stop();
});
