// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what stands in braces is what is tested
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expandLiteFs } from './litefs-expand.ts';

const env = { REGION: 'ams', PRIMARY: 'ams', PORT: '8080', EMPTY: '' };

test('names with and without braces become their values, and those that are not set become nothing', () => {
  assert.equal(
    expandLiteFs('a: $PORT\nb: ${PORT}x ${ PORT } $NONE|${NONE}|', env),
    'a: 8080\nb: 8080x 8080 ||',
  );
});

test('a comparison becomes true or false, with a text or another variable on its right', () => {
  const cases: readonly (readonly [string, string])[] = [
    ["${REGION == 'ams'}", 'true'],
    ['${REGION == "ord"}', 'false'],
    ['${REGION==PRIMARY}', 'true'],
    ['${REGION != PRIMARY}', 'false'],
    ["${NONE == ''}", 'true'],
    ['${NONE == EMPTY}', 'true'],
    ["${REGION != 'a b'}", 'true'],
  ];
  for (const [text, expected] of cases)
    assert.equal(expandLiteFs(`candidate: ${text}`, env), `candidate: ${expected}`);
});

test('a dollar that begins no name stays, and so does a brace that does not end on its line', () => {
  assert.equal(expandLiteFs("cmd: 'cost 5$ or $' ${REGION\n}", env), "cmd: 'cost 5$ or $' ${REGION\n}");
});
