import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { installFrom, TestNode } from '../database/test-support.ts';
import { formatChecksum, formatTxid, type Position, txid } from '../ltx/position.ts';
import { HaltSession } from './halt-session.ts';
import type { ReplicaReplication } from './replica-replication.ts';

/** A replica, and its primary's API as the test plays it. */
async function replicaOf(t: TestContext, halt: (response: ServerResponse, asked: number) => void) {
  const one = new TestNode(t);
  one.app(t);
  const primary = await one.primary(t);
  await primary.capture();
  const replica = await installFrom(t, primary, new TestNode(t));
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url?.replace(/[?].*/, '')}`);
    if (request.method === 'DELETE') response.end();
    else halt(response, asked.length);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const replication = {
    isOver: false,
    position: () => replica.position,
    replica: () => replica,
    onProgress: () => () => undefined,
  } as unknown as ReplicaReplication;
  const warnings: string[] = [];
  const session = new HaltSession({
    replication,
    name: replica.name,
    primary: { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` },
    secret: undefined,
    liteFsId: '1',
    warn: (message, fields) => warnings.push(`${message} ${JSON.stringify(fields)}`),
    renewMs: 20,
  });
  return { session, asked, warnings, replica };
}

function answer(response: ServerResponse, { txid: at, checksum }: Position): void {
  response.end(
    JSON.stringify({ pos: { TXID: formatTxid(at), PostApplyChecksum: formatChecksum(checksum) } }),
  );
}

test('a lock of which no answer came is given back', async (t) => {
  const { session, asked } = await replicaOf(t, (response) => response.destroy());
  const holder = { held: () => assert.fail('nobody has it'), recalled: () => undefined };
  await assert.rejects(session.run(new AbortController().signal, holder), { code: 'PRIMARY_UNREACHABLE' });
  assert.deepEqual(asked, ['POST /halt', 'DELETE /halt']);
});

test('a renewal that got another lock, since the primary has gone on, is a lock that is lost', async (t) => {
  let now: Position | undefined;
  const { session, warnings, asked, replica } = await replicaOf(t, (response) =>
    answer(response, now ?? replica.position),
  );
  const held = () => {
    now = { ...replica.position, txid: txid(replica.position.txid + 1) };
  };
  let isRecalled = false;
  const recalled = () => {
    isRecalled = true;
  };
  await session.run(new AbortController().signal, { held, recalled });
  assert.ok(isRecalled);
  assert.match(warnings.join(), /The lock was over, and the primary is at/);
  assert.equal(asked.at(-1), 'DELETE /halt');
});
