import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Head } from './bus-frames.ts';
import { LineSocket, type LineSocketOptions } from './line-socket.ts';

type Got = { lines: [Head, string | undefined][]; closed: Promise<string> };

/** Both ends of a connection; what is not under test is far away. */
async function pair(t: TestContext): Promise<[Socket, Socket]> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const near = new Socket();
  near.connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [far] = (await once(server, 'connection')) as [Socket];
  t.after(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  return [near, far];
}

function open(
  socket: Socket,
  options: Partial<LineSocketOptions> = {},
  head = '',
): Got & { link: LineSocket } {
  const { promise: closed, resolve } = Promise.withResolvers<string>();
  const lines: Got['lines'] = [];
  const link = new LineSocket(socket, Buffer.from(head), {
    lineBytesMax: 1_000_000,
    queueBytesMax: 1_000_000,
    heartbeatMs: 60_000,
    silenceMaxMs: 600_000,
    heartbeat: () => ({ t: 'ping' }),
    received: (frame, body) => lines.push([frame, body]),
    closed: resolve,
    ...options,
  });
  return { link, lines, closed };
}

/** Resolves when a last line has come. */
async function arrived({ lines, closed }: Got): Promise<void> {
  while (lines.at(-1)?.[0].t !== 'end')
    await Promise.race([
      new Promise((resolve) => setImmediate(resolve)),
      closed.then((reason) => assert.fail(reason)),
    ]);
}

test('frames arrive whole and in order, however the bytes are cut, those that came with the upgrade first', async (t) => {
  const [near, far] = await pair(t);
  const got = open(far, {}, '{"t":"first"}\n{"t":"sec');
  const text = 'ond"}\t{"ä":"\\n\\t€"}\n{"t":"third","n":3}\n{"t":"end"}\n';
  near.setNoDelay(true);
  for (const byte of Buffer.from(text)) {
    near.write(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await arrived(got);
  assert.deepEqual(got.lines, [
    [{ t: 'first' }, undefined],
    [{ t: 'second' }, '{"ä":"\\n\\t€"}'],
    [{ t: 'third', n: 3 }, undefined],
    [{ t: 'end' }, undefined],
  ]);
});

test('a line that is too long, or is no frame, ends the link', async (t) => {
  for (const line of [
    `{"t":"${'x'.repeat(2_000)}"}\n`,
    'x'.repeat(2_000),
    'nonsense\n',
    '[]\n',
    '{"a":1}\n',
  ]) {
    const [near, far] = await pair(t);
    const got = open(far, { lineBytesMax: 1_000 });
    near.write(line);
    await got.closed;
    assert.deepEqual(got.lines, []);
  }
});

test('to a side that does not read, the oldest that may be lost are dropped, and the rest comes in order', async (t) => {
  const [near, far] = await pair(t);
  const sender = open(near, { queueBytesMax: 200_000 });
  far.pause();
  const dropped: number[] = [];
  const filling = JSON.stringify('x'.repeat(10_000));
  for (let number = 0; number < 2_000; number += 1) {
    sender.link.send({ t: 'news', number }, filling, () => dropped.push(number));
    if (number % 500 === 0) sender.link.send({ t: 'kept', number });
    // So that what the kernel takes is taken.
    if (number % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  sender.link.send({ t: 'end' });
  const got = open(far);
  far.resume();
  await arrived(got);
  const numbers = got.lines.filter(([{ t: type }]) => type === 'news').map(([{ number }]) => Number(number));
  assert.ok(dropped.length > 0);
  assert.deepEqual(
    [...numbers, ...dropped].sort((one, other) => one - other),
    Array.from({ length: 2_000 }, (_, index) => index),
    'each came or was told of as dropped',
  );
  assert.deepEqual(
    numbers,
    numbers.toSorted((one, other) => one - other),
  );
  assert.equal(numbers.at(-1), 1_999);
  assert.equal(got.lines.filter(([{ t: type }]) => type === 'kept').length, 4);
});

test('what may not be lost ends the link when there is too much of it', async (t) => {
  const [near, far] = await pair(t);
  const sender = open(near, { queueBytesMax: 100_000 });
  far.pause();
  const filling = JSON.stringify('x'.repeat(10_000));
  let isOpen = true;
  for (let number = 0; number < 5_000 && isOpen; number += 1)
    isOpen = sender.link.send({ t: 'kept' }, filling);
  assert.match(await sender.closed, /does not read/);
});

test('a feed is taken from no faster than the other side reads, and lines go before it', async (t) => {
  const [near, far] = await pair(t);
  const sender = open(near);
  far.pause();
  let taken = 0;
  const filling = JSON.stringify('x'.repeat(10_000));
  const lines = (function* () {
    for (; taken < 5_000; taken += 1) yield { head: { t: 'fed' }, body: filling };
    yield { head: { t: 'end' } };
  })();
  sender.link.feed(lines);
  while (near.writableLength === 0) await new Promise((resolve) => setImmediate(resolve));
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(taken < 5_000, `${taken} of 5,000 were taken while nobody read`);
  sender.link.send({ t: 'line' });
  const got = open(far);
  far.resume();
  await arrived(got);
  assert.equal(got.lines.filter(([{ t: type }]) => type === 'fed').length, 5_000);
  assert.ok(got.lines.findIndex(([{ t: type }]) => type === 'line') < 5_000);
});

test('silence ends the link, heartbeats keep it', async (t) => {
  const [near, far] = await pair(t);
  const timing = { heartbeatMs: 20, silenceMaxMs: 200 };
  const [one, other] = [open(near, timing), open(far, timing)];
  while (one.lines.length < 15) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(one.link.isOpen && other.link.isOpen);
  far.pause();
  assert.match(await other.closed, /silent/);
});
