import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { createOutputPrinter } from './process-output.ts';

test('lines are printed with the names in one column', async () => {
  const stream = new PassThrough();
  const print = createOutputPrinter({ names: ['web', 'worker'], stream, colour: false });
  print('web', 'hello');
  print('worker', '');
  print('unknown', 'x');
  stream.end();
  assert.equal(await text(stream), 'web    | hello\nworker | \nunknown | x\n');
});

test('on a terminal each name has a colour of its own, which ends with the prefix', async () => {
  const stream = new PassThrough();
  const print = createOutputPrinter({ names: ['web', 'worker'], stream, colour: true });
  print('web', 'a');
  print('worker', 'b');
  stream.end();
  assert.equal(await text(stream), '\x1b[36mweb    |\x1b[0m a\x1b[0m\n\x1b[33mworker |\x1b[0m b\x1b[0m\n');
});

test('a full stream makes the printer ask for a pause, until there is room or no reader', async () => {
  const stream = new PassThrough({ highWaterMark: 16 });
  const print = createOutputPrinter({ names: ['web'], stream, colour: false });
  const room = print('web', 'more than sixteen bytes');
  assert.ok(room instanceof Promise);
  stream.resume();
  await room;
  stream.pause();
  const nobody = print('web', 'more than sixteen bytes');
  stream.destroy();
  await nobody;
  assert.equal(print('web', 'into nothing'), undefined);
});

test('a reader of our output that rests stops neither the event loop nor the limit on memory', async () => {
  const code = `
    import { createOutputPrinter, openStandardOutput } from ${JSON.stringify(new URL('./process-output.ts', import.meta.url).href)};
    const stream = openStandardOutput();
    const print = createOutputPrinter({ names: ['web'], stream, colour: false });
    for (;;) {
      const room = print('web', 'x'.repeat(1000));
      if (room === undefined) continue;
      // Only a living event loop gets to this timer.
      const timer = setTimeout(() => process.stderr.write('blocked and alive ' + stream.writableLength), 100);
      await room;
      clearTimeout(timer);
    }`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [said] = await once(child.stderr, 'data');
  child.kill('SIGKILL');
  assert.match(String(said), /^blocked and alive \d+$/);
  assert.ok(Number(String(said).split(' ').at(-1)) < 1024 * 1024);
});
