import type { DatabaseSync } from 'node:sqlite';
import { sqlName } from './sql-literal.ts';

/** The two databases of one connection: the state that was kept, and what is in its place now. */
export type SchemaName = 'main' | 'now';

/** What a table is made of, as far as its rows are compared. */
export type TableShape = {
  readonly name: string;
  /** The statement that made it. */
  readonly sql: string;
  /** Without generated ones. */
  readonly columns: readonly string[];
  /** The primary key's columns, in its order; empty for a table without one. */
  readonly key: readonly string[];
  /** Whether a column of the key may be NULL, as old SQLite had it. */
  readonly isKeyNullable: boolean;
  /** A name under which the rowid can be asked for; undefined in a table without one, or with columns of all three names. */
  readonly rowid: string | undefined;
};

type Listed = { readonly name: string; readonly kind: string; readonly isWithoutRowid: boolean };

/** The ordinary tables of one database by name, and the names of those that belong to virtual ones. */
export function tableShapes(
  connection: DatabaseSync,
  schema: SchemaName,
): { tables: Map<string, TableShape>; virtual: string[] } {
  const listed = listTables(connection, schema);
  const virtual = listed.filter(({ kind }) => kind === 'virtual').map(({ name }) => name);
  // Of a virtual table whose module is not loaded here, only the names tell what belongs to it.
  const belongs = (name: string) => virtual.some((owner) => name.startsWith(`${owner}_`));
  const ordinary = listed.filter(({ name, kind }) => kind === 'table' && !belongs(name));
  const tables = new Map(ordinary.map((table) => [table.name, shapeOf(connection, schema, table)]));
  return { tables, virtual };
}

function listTables(connection: DatabaseSync, schema: SchemaName): Listed[] {
  const rows = connection
    .prepare('SELECT name, type, wr FROM pragma_table_list WHERE schema = ?')
    .all(schema);
  return rows
    .map(({ name, type, wr }) => ({ name: String(name), kind: String(type), isWithoutRowid: wr === 1 }))
    .filter(({ name }) => !name.toLowerCase().startsWith('sqlite_'))
    .sort((one, other) => (one.name < other.name ? -1 : 1));
}

function shapeOf(connection: DatabaseSync, schema: SchemaName, { name, isWithoutRowid }: Listed): TableShape {
  const made = connection
    .prepare(`SELECT sql FROM ${schema}.sqlite_schema WHERE type = 'table' AND name = ?`)
    .get(name);
  const all = connection
    .prepare('SELECT name, type, pk, "notnull" AS must, hidden FROM pragma_table_xinfo(?, ?)')
    .all(name, schema);
  const columns = all.filter(({ hidden }) => hidden === 0);
  const key = columns
    .filter(({ pk }) => Number(pk) > 0)
    .sort((one, other) => Number(one.pk) - Number(other.pk));
  const isRowid = key.length === 1 && /^integer$/i.test(String(key[0].type));
  const names = new Set(all.map((column) => String(column.name).toLowerCase()));
  return {
    name,
    sql: String(made?.sql ?? ''),
    columns: columns.map((column) => String(column.name)),
    key: key.map((column) => String(column.name)),
    isKeyNullable: !isWithoutRowid && !isRowid && key.some(({ must }) => must === 0),
    rowid: isWithoutRowid ? undefined : ['rowid', '_rowid_', 'oid'].find((alias) => !names.has(alias)),
  };
}

/** What a row is found by: SQL expressions after `l.` or `n.`. Empty when there is nothing. */
export function keyTerms({ key, rowid }: TableShape): readonly string[] {
  if (key.length > 0) return key.map(sqlName);
  return rowid === undefined ? [] : [rowid];
}
