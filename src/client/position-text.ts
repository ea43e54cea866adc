/** The name of the cookie, LiteFS's, and of the header that take a session's position from node to node. */
export const cookieName = '__txid';
export const headerName = 'skein-position';

/** A position of some databases: the number of transactions that each holds, by name. */
export type Txids = ReadonlyMap<string, number>;

/**
 * What a client knows to be there, and in which epoch that was: an earlier primary may have other transactions under the same
 * numbers, which it alone holds. Epoch 0 for any.
 */
export type Session = { readonly epoch: number; readonly txids: Txids };

/** A text names no more. */
export const databasesMax = 16;
const textLengthMax = 4_096;
const singlePattern = /^[0-9a-f]{16}$/i;
const pairPattern = /([^:,;\s]{1,600}):([0-9a-f]{16})(?:\.|$)/giy;
const epochPattern = /-(\d{1,15})$/;
const cookiePattern = /(?:^|;)\s*__txid="?([^;"\s]*)/;

/** As `formatTxids`, with `-EPOCH` behind it. Under the first primary there is nothing to tell apart. */
export function formatSession({ epoch, txids }: Session, only?: string): string | undefined {
  const text = formatTxids(txids, only);
  return text !== undefined && epoch > 1 ? `${text}-${epoch}` : text;
}

/** As `parseTxids`, with `-EPOCH` behind it or without. */
export function parseSession(text: string, names: readonly string[]): Session | undefined {
  if (text.length > textLengthMax) return undefined;
  const [tail = '', epoch = '0'] = epochPattern.exec(text) ?? [];
  const txids = parseTxids(text.slice(0, text.length - tail.length), names);
  return txids && { epoch: Number(epoch), txids };
}

/**
 * `NAME:<16 hex>`, joined by dots; of more than 16 the last ones. Undefined for none. Without its name goes only the `only`
 * database, of which all are told that positions are: beside a single one, another may come.
 */
export function formatTxids(txids: Txids, only?: string): string | undefined {
  if (txids.size === 0) return undefined;
  const count = only === undefined ? undefined : txids.get(only);
  if (count !== undefined) return formatTxid(count);
  const pairs = [...txids].slice(-databasesMax);
  return pairs.map(([name, txid]) => `${encodeName(name)}:${formatTxid(txid)}`).join('.');
}

/** Undefined for what is not of the form, and for one without a name where there is not just one database. */
export function parseTxids(text: string, names: readonly string[]): Txids | undefined {
  if (text.length > textLengthMax) return undefined;
  if (singlePattern.test(text)) {
    const [name, ...others] = names;
    return name === undefined || others.length > 0 ? undefined : new Map([[name, Number.parseInt(text, 16)]]);
  }
  const txids = new Map<string, number>();
  pairPattern.lastIndex = 0;
  while (pairPattern.lastIndex < text.length) {
    const [, name, hex] = pairPattern.exec(text) ?? [];
    const decoded = name === undefined ? undefined : decodeName(name);
    if (decoded === undefined || hex === undefined || txids.size === databasesMax) return undefined;
    txids.set(decoded, Number.parseInt(hex, 16));
  }
  return txids.size === 0 ? undefined : txids;
}

/** What a request says that its client knows to be there; undefined for nothing. */
export function sessionOf(
  { headers }: { readonly headers: NodeJS.Dict<string | string[]> },
  names: readonly string[],
): Session | undefined {
  const { cookie, [headerName]: header } = headers;
  const text =
    typeof header === 'string' ? header : typeof cookie === 'string' ? cookieValue(cookie) : undefined;
  return text ? parseSession(text, names) : undefined;
}

/** The value of our cookie in a request's `cookie` header; undefined for none. */
export function cookieValue(header: string): string | undefined {
  return cookiePattern.exec(header)?.[1]?.trim();
}

export function formatTxid(txid: number): string {
  return txid.toString(16).padStart(16, '0');
}

/** As the door does: a dot is what stands between two. */
function encodeName(name: string): string {
  const hex = (one: string) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(name).replace(/[.!'()*]/g, hex);
}

function decodeName(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
