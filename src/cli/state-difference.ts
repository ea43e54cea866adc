import type { DatabaseSync } from 'node:sqlite';
import { messageOf } from '../base/errors.ts';
import { allRows, rowDifference } from './row-difference.ts';
import { sqlName, type TextEncodingName } from './sql-literal.ts';
import { plain } from './table.ts';
import { keyTerms, type SchemaName, type TableShape, tableShapes } from './table-shape.ts';

/**
 * SQL that brings what only the kept state (`main` of the connection) has into the current database (`now`), piece by piece. What
 * cannot be said as a change of rows is a comment. Both should be read in one transaction.
 */
export function* stateDifference(connection: DatabaseSync): Generator<string> {
  const encoding = encodingOf(connection);
  const lost = tableShapes(connection, 'main');
  const now = tableShapes(connection, 'now');
  for (const name of new Set([...lost.virtual, ...now.virtual])) {
    yield comment(`${sqlName(name)} is a virtual table: it is left out, with the tables that belong to it.`);
  }
  yield* otherObjects(connection);
  for (const [name, shape] of lost.tables) {
    const other = now.tables.get(name);
    try {
      yield* other
        ? tableDifference(connection, shape, other, encoding)
        : lostTable(connection, shape, encoding);
    } catch (error) {
      if (!(error instanceof Error) || !('errcode' in error)) throw error;
      yield comment(`${sqlName(name)} cannot be compared: ${messageOf(error)}.`);
    }
  }
  for (const name of now.tables.keys()) {
    if (!lost.tables.has(name)) yield comment(`${sqlName(name)} is only in the current database.`);
  }
}

/** Each line of the text as a comment. */
export function comment(text: string): string {
  return text
    .split(/\r\n|\r|\n/)
    .map((line) => `-- ${plain(line)}\n`)
    .join('');
}

function* tableDifference(
  connection: DatabaseSync,
  lost: TableShape,
  now: TableShape,
  encoding: TextEncodingName,
): Generator<string> {
  const table = sqlName(lost.name);
  if (lost.sql !== now.sql) {
    yield comment(`${table} was made in another way. In the kept state:\n${lost.sql};\nNow:\n${now.sql};`);
  }
  const columns = lost.columns.filter((name) => now.columns.includes(name));
  const isSameKey = keyTerms(lost).join() === keyTerms(now).join() && keyTerms(lost).length > 0;
  if (!isSameKey || columns.length === 0) {
    yield comment(`${table} has nothing by which the rows of both could be compared.`);
    return;
  }
  let isFirst = true;
  for (const piece of rowDifference(connection, lost, columns, encoding)) {
    if (isFirst) yield `\n${comment(`Table ${table}`)}`;
    isFirst = false;
    yield piece;
  }
}

/** As comments: whoever wants the table takes the marks away. */
function* lostTable(
  connection: DatabaseSync,
  lost: TableShape,
  encoding: TextEncodingName,
): Generator<string> {
  yield `\n${comment(`Table ${sqlName(lost.name)} is only in the kept state. To have it, take the marks away:`)}`;
  yield comment(`${lost.sql};`);
  for (const piece of allRows(connection, lost, encoding)) yield comment(piece.trimEnd());
}

/** Indexes, views and triggers that only one of the two has, or that differ. */
function* otherObjects(connection: DatabaseSync): Generator<string> {
  const [lost, now] = [objectsOf(connection, 'main'), objectsOf(connection, 'now')];
  for (const [name, sql] of lost) {
    const other = now.get(name);
    if (other === undefined) yield comment(`Only in the kept state:\n${sql};`);
    else if (other !== sql) yield comment(`In the kept state:\n${sql};\nNow:\n${other};`);
  }
  for (const [name, sql] of now) {
    if (!lost.has(name)) yield comment(`Only in the current database:\n${sql};`);
  }
}

function objectsOf(connection: DatabaseSync, schema: SchemaName): Map<string, string> {
  const rows = connection
    .prepare(
      `SELECT type, name, sql FROM ${schema}.sqlite_schema WHERE type <> 'table' AND sql IS NOT NULL ORDER BY type, name`,
    )
    .all();
  return new Map(rows.map(({ type, name, sql }) => [`${type} ${name}`, String(sql)]));
}

function encodingOf(connection: DatabaseSync): TextEncodingName {
  const encoding = String(connection.prepare('PRAGMA main.encoding').get()?.encoding);
  if (encoding === 'UTF-16le') return 'utf-16le';
  return encoding === 'UTF-16be' ? 'utf-16be' : 'utf-8';
}
