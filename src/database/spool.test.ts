import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { temporaryDirectory } from '../base/test-support.ts';
import { Spool } from './spool.ts';

function newSpool(t: TestContext): { spool: Spool; path: string } {
  const directory = temporaryDirectory(t);
  const spool = new Spool(directory, 'test');
  return { spool, path: join(directory, readdirSync(directory)[0]) };
}

async function read(
  spool: Spool,
  chunkBytes: number,
  signal = new AbortController().signal,
): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of spool.chunks(chunkBytes, signal)) {
    assert.ok(piece.length > 0 && piece.length <= chunkBytes);
    pieces.push(Buffer.from(piece));
  }
  return Buffer.concat(pieces);
}

test('what was written is kept, though the writer fills its buffer again', async (t) => {
  for (const buffer of [Buffer.alloc(64), new Uint8Array(64)]) {
    const { spool } = newSpool(t);
    for (let round = 0; round < 10; round += 1) spool.write(buffer.fill(round));
    spool.end();
    const expected = Buffer.concat(Array.from({ length: 10 }, (_, round) => Buffer.alloc(64, round)));
    assert.ok((await read(spool, 100)).equals(expected));
    spool.close();
  }
});

test('the reader gets all bytes in order, however they are written and cut', async (t) => {
  const written = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(written, fc.integer({ min: 1, max: 500 }), fc.nat(20), async (chunks, size, before) => {
      const { spool } = newSpool(t);
      for (const chunk of chunks.slice(0, before)) spool.write(chunk);
      const reading = read(spool, size);
      for (const chunk of chunks.slice(before)) {
        spool.write(chunk);
        await new Promise(setImmediate);
      }
      spool.end();
      assert.ok((await reading).equals(Buffer.concat(chunks)));
      spool.close();
    }),
    { numRuns: 40 },
  );
});

test('the reader follows the writer: what is written is read before the end', async (t) => {
  const { spool } = newSpool(t);
  const chunks = spool.chunks(100, new AbortController().signal);
  for (const text of ['one', 'two', 'three']) {
    const next = chunks.next();
    spool.write(Buffer.from(text));
    assert.equal(String((await next).value), text);
  }
  const last = chunks.next();
  spool.end();
  assert.equal((await last).done, true);
  spool.close();
});

test("the writer's failure reaches the reader, also one that waits", async (t) => {
  const failure = new Error('no space');
  const { spool } = newSpool(t);
  const reading = read(spool, 100);
  spool.write(Buffer.from('part'));
  await new Promise(setImmediate);
  spool.fail(failure);
  await assert.rejects(reading, failure);
  await assert.rejects(read(spool, 100), failure);
  spool.close();
});

test('a reader that is called off stops waiting', async (t) => {
  const { spool } = newSpool(t);
  const controller = new AbortController();
  const reading = read(spool, 100, controller.signal);
  await new Promise(setImmediate);
  controller.abort(new Error('the link ended'));
  await assert.rejects(reading, /the link ended/);
  await assert.rejects(read(spool, 100, controller.signal), /the link ended/);
  spool.close();
});

test('closing removes the file', (t) => {
  const { spool, path } = newSpool(t);
  spool.write(Buffer.alloc(10));
  assert.equal(existsSync(path), true);
  spool.close();
  assert.equal(existsSync(path), false);
});
