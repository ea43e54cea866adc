import { formatTxid, txid } from '../ltx/position.ts';

export const cookieName = '__txid';
export const positionHeader = 'skein-position';

const cookieSeconds = 300;
const databasesMax = 16;
const bytesMax = 4_096;
const withEpoch = /^(.*[0-9a-f]{16})-(\d{1,15})$/i;
const hex = /^[0-9a-f]{16}$/i;
/** Sticky: where it does not go on, it is not looked for further on. */
const pair = /([^:]+):([0-9a-f]{16})(?:\.|$)/giy;

/** By database, the transactions that a client knows to be there. */
export type SessionPosition = ReadonlyMap<string, number>;

/**
 * What a client knows to be there, and in which epoch that was: an earlier primary may have other transactions under the same
 * numbers, which it alone holds. Epoch 0 for any.
 */
export type Session = { readonly epoch: number; readonly position: SessionPosition };

/** Reads a position with `-<epoch>` behind it, or without. */
export function parseSession(
  text: string,
  only: string | undefined,
  plain: string | undefined = only,
): Session {
  const [, bare = text, epoch = '0'] = withEpoch.exec(text) ?? [];
  return { epoch: Number(epoch), position: parseSessionPosition(bare, only, plain) };
}

/** Under the first primary there is nothing to tell apart, and the text is the position alone. */
export function formatSession({ epoch, position }: Session, only: string | undefined): string {
  const text = formatSessionPosition(position, only);
  return epoch > 1 && text !== '' ? `${text}-${epoch}` : text;
}

/**
 * Reads `<16 hex>` of the `plain` database, or `<name>:<16 hex>` of several with dots between them. What cannot be read, or is
 * of databases other than `only`, is left out.
 */
export function parseSessionPosition(
  text: string,
  only: string | undefined,
  plain: string | undefined = only,
): SessionPosition {
  const position = new Map<string, number>();
  if (text.length > bytesMax) return position;
  if (hex.test(text)) {
    if (plain !== undefined) position.set(plain, txidOf(text));
    return position;
  }
  for (const [, name, count] of text.matchAll(pair)) {
    const database = decoded(name);
    if (database !== undefined && (only === undefined || database === only))
      position.set(database, txidOf(count));
    if (position.size >= databasesMax) break;
  }
  return position;
}

/**
 * The text for a cookie or the header: without a name only where the configuration has one, since another database may come. Of
 * more databases than there is room for, the last ones are told.
 */
export function formatSessionPosition(position: SessionPosition, only: string | undefined): string {
  const count = only === undefined ? undefined : position.get(only);
  if (count !== undefined) return formatTxid(txid(count));
  return [...position]
    .slice(-databasesMax)
    .map(([name, transactions]) => `${encoded(name)}:${formatTxid(txid(transactions))}`)
    .join('.');
}

/** The value of the cookie in a Cookie header; undefined without it. */
export function positionCookieOf(cookies: string | undefined): string | undefined {
  if (cookies === undefined || !cookies.includes(cookieName)) return undefined;
  return /(?:^|[;,])\s*__txid="?([^;,"\s]+)"?/.exec(cookies)?.[1];
}

/** A complete line for a response's head. */
export function setCookieLine(value: string, isSecure: boolean): string {
  const seconds = value === '' ? 0 : cookieSeconds;
  return `Set-Cookie: ${cookieName}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Lax${isSecure ? '; Secure' : ''}\r\n`;
}

function txidOf(text: string): number {
  const value = BigInt(`0x${text}`);
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value);
}

function encoded(name: string): string {
  return encodeURIComponent(name)
    .replaceAll('.', '%2E')
    .replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
