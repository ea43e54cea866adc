import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answerParts } from './own-answer.ts';

test('the length that is told is that of the bytes that follow, in any language', () => {
  const [head, body] = answerParts(
    { kind: 'answer', status: 503, body: 'später – 後で' },
    'GET',
    true,
    false,
  );
  assert.match(String(head), new RegExp(`Content-Length: ${body.length}\r\n`));
  assert.deepEqual(body, Buffer.from('später – 後で'));
  assert.equal(answerParts({ kind: 'answer', status: 503, body: 'a' }, 'HEAD', true, false).length, 1);
});
