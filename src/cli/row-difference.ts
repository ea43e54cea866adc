import type { DatabaseSync, StatementSync } from 'node:sqlite';
import {
  bytesOf,
  type SqlValue,
  shownValue,
  sqlLiteral,
  sqlName,
  type TextEncodingName,
} from './sql-literal.ts';
import { keyTerms, type TableShape } from './table-shape.ts';

/** Rows of one table that only the current database has and that are named; the others are counted. */
const namedMax = 20;
/** A row with a larger value is not written as SQL. */
const valueBytesMax = 1 << 26;

/** A table that both databases have, and how its rows are read. */
type Compared = {
  readonly connection: DatabaseSync;
  readonly table: string;
  /** SQL for the columns by which a row is found. */
  readonly key: readonly string[];
  /** SQL for the columns that are compared. */
  readonly columns: readonly string[];
  readonly isKeyNullable: boolean;
  readonly encoding: TextEncodingName;
};

/**
 * The statements that bring the rows of the kept state (`main`) into the current database (`now`), one at a time, with comments
 * on what is there now. `columns` are those that both have.
 */
export function* rowDifference(
  connection: DatabaseSync,
  shape: TableShape,
  columns: readonly string[],
  encoding: TextEncodingName,
): Generator<string> {
  const key = keyTerms(shape);
  const compared = {
    connection,
    table: sqlName(shape.name),
    key,
    // The rowid of a table without a primary key is what its rows are found by.
    columns: [...(shape.key.length === 0 ? key : []), ...columns.map(sqlName)],
    isKeyNullable: shape.isKeyNullable,
    encoding,
  };
  yield* lostRows(compared);
  yield* newRows(compared);
}

/** Every row of a table that only the kept state has. */
export function* allRows(
  connection: DatabaseSync,
  { name, columns }: TableShape,
  encoding: TextEncodingName,
): Generator<string> {
  const names = columns.map(sqlName);
  const sql = `SELECT ${typesOf('l', names)}, ${valuesOf('l', names)} FROM main.${sqlName(name)} AS l`;
  for (const [types, ...values] of rowsOf(connection, sql)) {
    yield insert(sqlName(name), names, decodeRow(types, values), encoding);
  }
}

function* lostRows(compared: Compared): Generator<string> {
  const { connection, table, key, columns, encoding } = compared;
  const differs = columns.map(
    (name) => `(l.${name} IS NOT n.${name} COLLATE BINARY OR typeof(l.${name}) IS NOT typeof(n.${name}))`,
  );
  const sql = `SELECT n.${key[0]} IS NOT NULL, ${typesOf('l', columns)}, ${typesOf('n', columns)},
    ${valuesOf('l', columns)}, ${valuesOf('n', columns)}
    FROM main.${table} AS l LEFT JOIN now.${table} AS n ON ${equalKeys(key)}
    WHERE (n.${key[0]} IS NULL OR ${balanced(differs, ' OR ')})${exceptTwins(compared, 'l', 'now')}`;
  for (const [isThere, lostTypes, nowTypes, ...values] of rowsOf(connection, sql)) {
    const lost = decodeRow(lostTypes, values.slice(0, columns.length));
    if (lost.some((value) => bytesOf(value) > valueBytesMax)) {
      yield `-- A row of ${table} has a value that is too large to be shown: ${shownRow(columns, lost, encoding)}\n`;
    } else if (isThere === 0n) {
      yield insert(table, columns, lost, encoding);
    } else {
      yield update(compared, lost, decodeRow(nowTypes, values.slice(columns.length)));
    }
  }
}

function* newRows(compared: Compared): Generator<string> {
  const { connection, table, key, encoding } = compared;
  const sql = `SELECT ${typesOf('n', key)}, ${valuesOf('n', key)} FROM now.${table} AS n
    WHERE NOT EXISTS (SELECT 1 FROM main.${table} AS l WHERE ${equalKeys(key)})${exceptTwins(compared, 'n', 'main')}`;
  let count = 0;
  for (const [types, ...values] of rowsOf(connection, sql)) {
    count += 1;
    if (count > namedMax) continue;
    yield `-- Only in the current database, newer or deleted by what was lost: ${shownRow(key, decodeRow(types, values), encoding)}\n`;
  }
  if (count > namedMax) yield `-- and ${count - namedMax} rows more\n`;
}

function insert(
  table: string,
  columns: readonly string[],
  row: readonly SqlValue[],
  encoding: TextEncodingName,
): string {
  const values = row.map((value) => sqlLiteral(value, encoding));
  return `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${values.join(', ')});\n`;
}

function update(
  { table, key, columns, encoding }: Compared,
  lost: readonly SqlValue[],
  now: readonly SqlValue[],
): string {
  const changed = columns.flatMap((_, index) =>
    sqlLiteral(lost[index], encoding) === sqlLiteral(now[index], encoding) ? [] : [index],
  );
  const set = changed.map((index) => `${columns[index]} = ${sqlLiteral(lost[index], encoding)}`);
  const where = key.map((name) => `${name} = ${sqlLiteral(now[columns.indexOf(name)], encoding)}`);
  const names = changed.map((index) => columns[index]);
  const values = changed.map((index) => now[index]);
  return `-- now: ${shownRow(names, values, encoding)}
UPDATE ${table} SET ${set.join(', ')} WHERE ${where.join(' AND ')};\n`;
}

/** On one line: names may hold line breaks, which would end a comment. */
function shownRow(names: readonly string[], values: readonly SqlValue[], encoding: TextEncodingName): string {
  const shown = names.map((name, index) => `${name} = ${shownValue(values[index], encoding)}`);
  return shown.join(', ').replace(/[\r\n]+/g, ' ');
}

function equalKeys(key: readonly string[]): string {
  return key.map((name) => `l.${name} = n.${name}`).join(' AND ');
}

/** Rows with NULL in their key find no other by it: those that the other database has just so are left out. */
function exceptTwins(
  { isKeyNullable, key, columns, table }: Compared,
  alias: 'l' | 'n',
  other: 'main' | 'now',
): string {
  if (!isKeyNullable) return '';
  const hasNull = balanced(
    key.map((name) => `${alias}.${name} IS NULL`),
    ' OR ',
  );
  const equal = balanced(
    columns.map((name) => `x.${name} IS ${alias}.${name} COLLATE BINARY`),
    ' AND ',
  );
  return ` AND NOT (${hasNull} AND EXISTS (SELECT 1 FROM ${other}.${table} AS x WHERE ${equal}))`;
}

/** The types of all values of a row, one letter each: a value that was read does not tell text from blob. */
function typesOf(alias: string, columns: readonly string[]): string {
  return balanced(
    columns.map((name) => `substr(typeof(${alias}.${name}), 1, 1)`),
    ' || ',
  );
}

/** Text as its bytes: as a string it could not be told whether all of it was valid. */
function valuesOf(alias: string, columns: readonly string[]): string {
  return columns
    .map((name) => `${alias}.${name}`)
    .map((value) => `CASE typeof(${value}) WHEN 'text' THEN CAST(${value} AS BLOB) ELSE ${value} END`)
    .join(', ');
}

function decodeRow(types: unknown, values: readonly unknown[]): SqlValue[] {
  const letters = String(types);
  return values.map((value, index): SqlValue => {
    if (value instanceof Uint8Array) return letters[index] === 't' ? { text: value } : value;
    return typeof value === 'bigint' || typeof value === 'number' ? value : null;
  });
}

/** One row at a time: a table may be larger than memory. */
function* rowsOf(connection: DatabaseSync, sql: string): Generator<unknown[]> {
  const statement: StatementSync = connection.prepare(sql);
  statement.setReadBigInts(true);
  statement.setReturnArrays(true);
  for (const row of statement.iterate()) yield row as unknown as unknown[];
}

/** SQLite takes no expression that is nested more than 1,000 deep, and a chain of operators is. */
function balanced(terms: readonly string[], operator: string): string {
  if (terms.length <= 2) return `(${terms.join(operator)})`;
  const half = Math.ceil(terms.length / 2);
  return `(${balanced(terms.slice(0, half), operator)}${operator}${balanced(terms.slice(half), operator)})`;
}
