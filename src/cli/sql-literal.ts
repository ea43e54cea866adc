/** A value as it lies in a database; text as its bytes, which need not be valid. */
export type SqlValue = null | bigint | number | Uint8Array | { readonly text: Uint8Array };

export type TextEncodingName = 'utf-8' | 'utf-16le' | 'utf-16be';

/** More than this of one value is not shown in a comment. */
const shownMax = 120;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const control = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g;

/** A name for use as a table or column, whatever characters it has. */
export function sqlName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** An SQL expression of exactly that value, on one line, for a database of that encoding. */
export function sqlLiteral(value: SqlValue, encoding: TextEncodingName): string {
  if (value === null) return 'NULL';
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return realLiteral(value);
  if (value instanceof Uint8Array) return blobLiteral(value);
  return textLiteral(value.text, encoding);
}

/** The same for a comment: what is long is cut. */
export function shownValue(value: SqlValue, encoding: TextEncodingName): string {
  const bytes = bytesOf(value);
  if (bytes <= shownMax) return sqlLiteral(value, encoding);
  return value instanceof Uint8Array ? `a blob of ${bytes} bytes` : `a text of ${bytes} bytes`;
}

/** The size of a value that may be large; 0 for numbers. */
export function bytesOf(value: SqlValue): number {
  if (value instanceof Uint8Array) return value.length;
  return typeof value === 'object' && value !== null ? value.text.length : 0;
}

function realLiteral(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '9e999';
  if (value === Number.NEGATIVE_INFINITY) return '-9e999';
  const text = Object.is(value, -0) ? '-0' : String(value);
  // Without a point or an exponent it would be an integer.
  return /[.e]/.test(text) ? text : `${text}.0`;
}

function blobLiteral(bytes: Uint8Array): string {
  return `X'${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')}'`;
}

function textLiteral(bytes: Uint8Array, encoding: TextEncodingName): string {
  let text: string;
  try {
    text = new TextDecoder(encoding, { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return `CAST(${blobLiteral(bytes)} AS TEXT)`;
  }
  const controls = [...new Set(text.match(control))];
  if (controls.length === 0) return quoted(text);
  let escaped = text;
  for (const one of controls) escaped = escaped.replaceAll(one, markOf(one));
  let back = escaped;
  for (const one of controls) back = back.replaceAll(markOf(one), one);
  // A text that has a mark of its own.
  if (back !== text) return `CAST(${blobLiteral(bytes)} AS TEXT)`;
  return controls.reduce(
    (sql, one) => `replace(${sql}, '${markOf(one)}', char(${one.charCodeAt(0)}))`,
    quoted(escaped),
  );
}

function markOf(one: string): string {
  if (one === '\n') return '\\n';
  if (one === '\r') return '\\r';
  return `\\x${one.charCodeAt(0).toString(16).padStart(2, '0')}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
