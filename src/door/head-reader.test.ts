import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { BadMessage } from './bad-message.ts';
import { BodyReader } from './body-reader.ts';
import type { Fields } from './fields.ts';
import { HeadReader } from './head-reader.ts';
import { parseRequestHead } from './request-head.ts';

type Reading = {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly string[];
  readonly body: string;
  readonly trailers: readonly string[];
};

/** All requests of a connection's bytes, in the pieces in which they come; `refused` at the end where the rest is refused. */
function read(pieces: readonly Buffer[], bytesMax = 2_000): (Reading | 'refused')[] {
  const reader = new HeadReader(bytesMax, true);
  const found: (Reading | 'refused')[] = [];
  let body: BodyReader | undefined;
  let text = '';
  let head: ReturnType<typeof parseRequestHead> | undefined;
  const finish = (trailers: Fields | undefined) => {
    if (head)
      found.push({
        method: head.method,
        target: head.target,
        fields: head.fields.list,
        body: text,
        trailers: trailers?.list ?? [],
      });
    head = undefined;
    body = undefined;
  };
  try {
    for (const piece of pieces) {
      let at = 0;
      while (at < piece.length) {
        if (!body) {
          const read = reader.read(piece, at);
          at = reader.next;
          if (read === undefined) break;
          head = parseRequestHead(read);
          text = '';
          const framing = head.fields.isChunked ? 'chunked' : 'length';
          body = new BodyReader(framing, head.fields.contentLength ?? 0, {
            bodyData: (data) => {
              text += data.toString('latin1');
            },
          });
        } else at = body.read(piece, at);
        if (body?.isComplete) finish(body.trailers);
      }
    }
  } catch (error) {
    if (!(error instanceof BadMessage)) throw error;
    found.push('refused');
  }
  return found;
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  const pieces: Buffer[] = [];
  let from = 0;
  for (const end of [...ends, bytes.length]) {
    pieces.push(Buffer.from(bytes.subarray(from, end)));
    from = end;
  }
  return pieces;
}

const fragment = fc.constantFrom(
  ...[
    'GET / HTTP/1.1\r\n',
    'POST /a HTTP/1.1\r\n',
    'PUT http://b/c HTTP/1.1\r\n',
    'GET / HTTP/1.0\r\n',
    'Host: a\r\n',
  ],
  ...['Content-Length: 3\r\n', 'Content-Length: 0\r\n', 'Content-Length: 3, 3\r\n', 'Content-Length : 3\r\n'],
  ...[
    'Transfer-Encoding: chunked\r\n',
    'Transfer-Encoding: Chunked\r\n',
    'Transfer-Encoding: gzip, chunked\r\n',
  ],
  ...[
    'Transfer-Encoding:\tchunked\r\n',
    'Transfer-Encoding: \x0bchunked\r\n',
    'X: y\r\n',
    ' folded\r\n',
    'X: y\n',
  ],
  ...[
    '\r\n',
    '\n',
    '\r',
    '\r\n\r\n',
    'abc',
    '3\r\nabc\r\n',
    '0\r\n\r\n',
    '0\r\nX: y\r\n\r\n',
    '3;a=b\r\nabc\r\n',
  ],
  ...[
    '3 \r\nabc\r\n',
    '03\r\nabc\r\n',
    '-3\r\n',
    '0x3\r\nabc\r\n',
    '3\nabc\n',
    'ffffffffffffffffff\r\n',
    ' ',
    '\0',
    '\x80',
  ],
);
const wellFormed = fc
  .record({
    method: fc.constantFrom('GET', 'POST', 'DELETE', 'PROPFIND'),
    target: fc.constantFrom('/', '/a?b=c', '/%20/..', '/~x;y'),
    fields: fc.array(fc.constantFrom('X-A: 1', 'Cookie: a=b; c=d', 'Accept:*/*', 'x-empty:', 'Y: \t z\t'), {
      maxLength: 4,
    }),
    body: fc.option(
      fc.array(fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 20 }), { maxLength: 4 }),
    ),
    isChunked: fc.boolean(),
  })
  .map(({ method, target, fields, body, isChunked }) => {
    const lines = [`${method} ${target} HTTP/1.1`, 'Host: a', ...fields];
    if (!body) return `${lines.join('\r\n')}\r\n\r\n`;
    if (!isChunked) {
      const text = body.join('');
      return `${[...lines, `Content-Length: ${text.length}`].join('\r\n')}\r\n\r\n${text}`;
    }
    const chunks = body.map((text) => `${text.length.toString(16)}\r\n${text}\r\n`).join('');
    return `${[...lines, 'Transfer-Encoding: chunked'].join('\r\n')}\r\n\r\n${chunks}0\r\n\r\n`;
  });
const messy = fc.array(fragment, { minLength: 1, maxLength: 12 }).map((parts) => parts.join(''));
const stream = fc
  .array(fc.oneof(wellFormed, messy), { minLength: 1, maxLength: 4 })
  .map((parts) => Buffer.from(parts.join(''), 'latin1'));

test('however the bytes of a connection are cut, they are read as the same requests', () => {
  fc.assert(
    fc.property(stream, fc.array(fc.nat(), { maxLength: 12 }), (bytes, places) => {
      assert.deepEqual(read(cut(bytes, places)), read([bytes]));
      assert.deepEqual(read(cut(bytes, [...bytes.keys()])), read([bytes]), 'byte by byte');
    }),
    { numRuns: 1_500 },
  );
});

test('any bytes at all are read or refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat(), { maxLength: 5 }), (bytes, places) => {
      const buffer = Buffer.from(bytes);
      assert.deepEqual(read(cut(buffer, places)), read([buffer]));
    }),
    { numRuns: 2_000 },
  );
});

test('what is accepted here, the parser of Node.js reads as the same requests', async (t) => {
  const seen: { method: string; target: string; body: string; fields: readonly string[] }[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const { rawHeaders, method = '', url = '' } = request;
      seen.push({ method, target: url, body: Buffer.concat(parts).toString('latin1'), fields: rawHeaders });
      response.end();
    });
  });
  server.on('connect', (_request, socket) => socket.destroy());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const ask = (bytes: Buffer) =>
    new Promise<void>((resolve) => {
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.on('close', () => resolve());
      socket.resume().end(bytes);
    });
  await fc.assert(
    fc.asyncProperty(stream, async (bytes) => {
      seen.length = 0;
      const own = read([bytes]);
      await ask(bytes);
      const complete = own.filter((one) => one !== 'refused');
      for (const [index, one] of complete.entries()) {
        const theirs = seen[index];
        if (theirs === undefined) {
          // Node.js is stricter in some of this; it must not be that it reads something else.
          assert.equal(seen.length, index);
          break;
        }
        const fields = one.fields.filter((_, at) => at % 3 !== 1);
        const target = theirs.target.replace(/^http:\/\/b/, '');
        assert.deepEqual(
          [theirs.method, target, theirs.body, theirs.fields],
          [one.method, one.target, one.body, fields],
        );
      }
    }),
    { numRuns: 400 },
  );
});

test('a head that is too large is refused as soon as that is known', () => {
  const long = Buffer.from(`GET /${'a'.repeat(3_000)} HTTP/1.1\r\nHost: a\r\n\r\n`);
  assert.deepEqual(read([long]), ['refused']);
  assert.throws(() => new HeadReader(2_000, true).read(long.subarray(0, 2_500), 0), { status: 414 });
  const many = Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\n${'x: y\r\n'.repeat(600)}`);
  assert.throws(() => new HeadReader(2_000, true).read(many, 0), { status: 431 });
});

test('lines that end with LF alone are refused before the head is complete, and so is what is no HTTP', () => {
  assert.throws(() => new HeadReader(2_000, true).read(Buffer.from('GET / HTTP/1.1\nHost'), 0), {
    status: 400,
  });
  assert.throws(() => new HeadReader(2_000, true).read(Buffer.from([22, 3, 1, 2, 0]), 0), { status: 400 });
});
