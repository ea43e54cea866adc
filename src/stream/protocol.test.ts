import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { emptyPosition, formatPosition, parsePosition } from '../ltx/position.ts';
import { hasCode } from '../sqlite/test-support.ts';
import {
  type Chunk,
  chunkHeadBytes,
  chunkKind,
  decodeAcknowledgement,
  decodeChunk,
  encodeAcknowledgement,
  encodeChunk,
  type PrimaryMessage,
  parseFromPrimary,
  parseFromReplica,
  protocolVersion,
  type ReplicaMessage,
} from './protocol.ts';

const position = formatPosition(emptyPosition);
const fromReplica: ReplicaMessage[] = [
  {
    type: 'hello',
    protocol: protocolVersion,
    app: 'shop',
    node: 'one',
    region: 'ams',
    url: 'http://10.0.0.1:20202',
    candidate: true,
    epoch: 0,
    databases: { 'a.db': position, 'ü b.db': position },
    distrusted: ['a.db'],
  },
  { type: 'checksums', id: 65_535, pageSize: 4096, bytes: 800 },
  { type: 'heartbeat', chainEpoch: 3 },
];
const fromPrimary: PrimaryMessage[] = [
  { type: 'welcome', protocol: protocolVersion, node: 'one', region: 'ams', epoch: 3 },
  { type: 'database', id: 0, name: 'a.db' },
  { type: 'compare', position: '0000000000000001/8000000000000000', id: 1, shared: [position] },
  { type: 'following', id: 1 },
  { type: 'drop', name: 'a.db' },
  { type: 'heartbeat', clockMs: 1.5, ready: true, positions: { 'a.db': position } },
  { type: 'refuse', code: 'APP_MISMATCH', message: 'Another app.' },
];

test('every message arrives as it was sent, with positions read', () => {
  for (const message of fromReplica) {
    const parsed = parseFromReplica(JSON.stringify(message));
    assert.equal(parsed.type, message.type);
    if (parsed.type === 'hello') assert.deepEqual(parsed.databases['a.db'], emptyPosition);
    else assert.deepEqual({ ...parsed }, message);
  }
  for (const message of fromPrimary) {
    const parsed = parseFromPrimary(JSON.stringify(message));
    if (parsed.type === 'heartbeat') assert.deepEqual(parsed.positions['a.db'], emptyPosition);
    else if (parsed.type === 'compare') assert.deepEqual(parsed.shared, [emptyPosition]);
    else assert.deepEqual({ ...parsed }, message);
  }
});

test('anything else is refused, above all names that lead out of the directory', () => {
  const claim = (database: string, at = position) =>
    JSON.stringify({ ...fromReplica[0], databases: { [database]: at } });
  const texts = [
    '',
    'null',
    '[]',
    '{}',
    '{"type":"unknown"}',
    '{"type":"hello"}',
    claim('../a.db'),
    claim('/etc/a.db'),
    claim('a/b.db'),
    claim('a\0.db'),
    claim('a.sqlite'),
    claim(`${'x'.repeat(300)}.db`),
    claim('a.db', '1/2'),
    claim('a.db', `${position}0`),
    '{"type":"checksums","id":65536,"pageSize":4096,"bytes":8}',
    '{"type":"checksums","id":1,"pageSize":4096,"bytes":-8}',
  ];
  for (const text of texts) assert.throws(() => parseFromReplica(text), hasCode('PROTOCOL_INVALID'), text);
  const drop = JSON.stringify({ type: 'drop', name: '../../a.db' });
  assert.throws(() => parseFromPrimary(drop), hasCode('PROTOCOL_INVALID'));
  assert.throws(() => parseFromPrimary(claim('a.db')), hasCode('PROTOCOL_INVALID'), 'the other direction');
});

test('any chunk survives being written and read', () => {
  const someChunk: fc.Arbitrary<Chunk> = fc.record({
    kind: fc.constantFrom(...Object.values(chunkKind)),
    first: fc.boolean(),
    last: fc.boolean(),
    id: fc.nat(0xffff),
    bytes: fc.uint8Array({ maxLength: 50 }),
  });
  fc.assert(
    fc.property(someChunk, (chunk) => {
      const decoded = decodeChunk(encodeChunk(chunk));
      assert.deepEqual({ ...decoded, bytes: [...decoded.bytes] }, { ...chunk, bytes: [...chunk.bytes] });
    }),
  );
});

test('a chunk that is short, or of an unknown kind or flag, is refused', () => {
  for (let length = 0; length < chunkHeadBytes; length += 1) {
    assert.throws(() => decodeChunk(Buffer.alloc(length, 1)), hasCode('PROTOCOL_INVALID'));
  }
  for (const kind of [0, 6, 255]) {
    assert.throws(() => decodeChunk(Buffer.of(kind, 0, 0, 0, 9)), hasCode('PROTOCOL_INVALID'));
  }
  assert.throws(() => decodeChunk(Buffer.of(1, 4, 0, 0, 9)), hasCode('PROTOCOL_INVALID'));
});

test('an acknowledgement arrives as it was sent, and anything else is refused', () => {
  const sent = parsePosition('00000000000000ff/8000000000000abc');
  assert.ok(sent);
  const bytes = encodeAcknowledgement(sent);
  assert.deepEqual(decodeAcknowledgement(bytes), sent);
  for (const wrong of [bytes.subarray(1), Buffer.alloc(16, 0x7f), Buffer.alloc(16, 0xff), Buffer.alloc(0)]) {
    assert.throws(() => decodeAcknowledgement(wrong), hasCode('PROTOCOL_INVALID'));
  }
});
