import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import fc from 'fast-check';
import { type SqlValue, shownValue, sqlLiteral, sqlName, type TextEncodingName } from './sql-literal.ts';

const encoder = new TextEncoder();
const text = (value: string): SqlValue => ({ text: encoder.encode(value) });

/** The type and the bytes that SQLite makes of the literal. */
function readBack(database: DatabaseSync, literal: string): { type: string; value: unknown } {
  const statement = database.prepare(
    `SELECT typeof(v) AS type, CASE typeof(v) WHEN 'text' THEN CAST(v AS BLOB) ELSE v END AS value FROM (SELECT ${literal} AS v)`,
  );
  statement.setReadBigInts(true);
  const { type, value } = statement.get() ?? {};
  return { type: String(type), value };
}

test('every value comes back as it was, from one line of SQL', () => {
  const database = new DatabaseSync(':memory:');
  const values: fc.Arbitrary<SqlValue> = fc.oneof(
    fc.constant(null),
    fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
    fc.double({ noNaN: true }).map((value) => (Object.is(value, -0) ? 0 : value)),
    fc.uint8Array({ maxLength: 40 }),
    fc.string({ unit: 'binary', maxLength: 40 }).map(text),
    fc
      .string({
        unit: fc.constantFrom("'", '"', '\\', 'n', 'x', '0', '1', '\n', '\r', '\0', '\x01', 'ü', ';'),
      })
      .map(text),
    fc.uint8Array({ maxLength: 12 }).map((bytes) => ({ text: bytes })),
  );
  const types = { bigint: 'integer', number: 'real' } as const;
  fc.assert(
    fc.property(values, (value) => {
      const literal = sqlLiteral(value, 'utf-8');
      assert.doesNotMatch(literal, /[\n\r\0]/);
      const back = readBack(database, literal);
      if (value === null) assert.equal(back.type, 'null');
      else if (typeof value !== 'object') {
        assert.equal(back.type, types[typeof value as keyof typeof types]);
        assert.equal(back.value, value);
      } else {
        const isBlob = value instanceof Uint8Array;
        assert.equal(back.type, isBlob ? 'blob' : 'text');
        assert.deepEqual(back.value, new Uint8Array(isBlob ? value : value.text));
      }
    }),
    { numRuns: 2_000 },
  );
  database.close();
});

test('the ends of the ranges are written as SQLite reads them', () => {
  const literal = (value: SqlValue) => sqlLiteral(value, 'utf-8');
  assert.equal(literal(Number.POSITIVE_INFINITY), '9e999');
  assert.equal(literal(Number.NEGATIVE_INFINITY), '-9e999');
  assert.equal(literal(3), '3.0');
  assert.equal(literal(1e21), '1e+21');
  assert.equal(literal(-(2n ** 63n)), '-9223372036854775808');
  assert.equal(literal(text("it's\n")), "replace('it''s\\n', '\\n', char(10))");
  assert.equal(literal(text('a\\n\n')), "CAST(X'615c6e0a' AS TEXT)");
});

test('text of a UTF-16 database is read as such', () => {
  for (const [encoding, swap] of [
    ['utf-16le', false],
    ['utf-16be', true],
  ] as const satisfies [TextEncodingName, boolean][]) {
    const bytes = Buffer.from('ü€', 'utf16le');
    if (swap) bytes.swap16();
    assert.equal(sqlLiteral({ text: bytes }, encoding), "'ü€'");
  }
});

test('names are quoted, and what is long is cut in comments', () => {
  assert.equal(sqlName('a"b\nc'), '"a""b\nc"');
  assert.equal(shownValue(new Uint8Array(500), 'utf-8'), 'a blob of 500 bytes');
  assert.equal(shownValue(text('x'.repeat(500)), 'utf-8'), 'a text of 500 bytes');
  assert.equal(shownValue(text('x'), 'utf-8'), "'x'");
});
