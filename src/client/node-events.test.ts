import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import { test } from 'node:test';
import { NodeApi } from './node-api.ts';
import { nodeEvents } from './node-events.ts';
import { listen } from './test-support.ts';

test('events go on when the connection breaks, even in the middle of a line, with a new init', async (t) => {
  const answers: ServerResponse[] = [];
  const server = createServer((request, response) => {
    assert.equal(request.headers.authorization, 'Bearer token');
    answers.push(response);
    response.write(`{"type":"init","data":{"isPrimary":${answers.length > 1}}}\n{"type":"t`);
    if (answers.length === 1) setImmediate(() => response.destroy());
  });
  const port = await listen(t, server);
  const api = new NodeApi({
    directory: '',
    api: new URL(`http://127.0.0.1:${port}`),
    token: 'token',
    node: '',
    region: '',
  });
  const gone = new AbortController();
  const seen: unknown[] = [];
  for await (const event of nodeEvents(api, gone.signal)) {
    seen.push(event);
    if (seen.length === 2) gone.abort();
  }
  assert.deepEqual(seen, [
    { type: 'init', data: { isPrimary: false } },
    { type: 'init', data: { isPrimary: true } },
  ]);
});
