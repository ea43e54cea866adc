import { BadMessage } from './bad-message.ts';

export const fieldsMax = 200;

/** What may not be in a head: control characters but tab, and CR and LF that are not a line's end. */
const forbidden = /[^\t\r\n\x20-\x7e\x80-\xff]|\r(?!\n)|(?<!\r)\n/;
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const outerSpace = /^[ \t]+|[ \t]+$/g;

/** The names that nearly all messages have, by their usual spellings, in lower case. */
const usualNames = new Map<string, string>();
for (const name of [
  ...['Accept', 'Accept-Encoding', 'Accept-Language', 'Accept-Ranges', 'Access-Control-Allow-Origin', 'Age'],
  ...['Authorization', 'Cache-Control', 'Connection', 'Content-Encoding', 'Content-Length', 'Content-Type'],
  ...[
    'Cookie',
    'Date',
    'ETag',
    'Expect',
    'Expires',
    'Forwarded',
    'Host',
    'If-Modified-Since',
    'If-None-Match',
  ],
  ...['Keep-Alive', 'Last-Modified', 'Location', 'Origin', 'Pragma', 'Referer', 'Server', 'Set-Cookie'],
  ...['Sec-Fetch-Dest', 'Sec-Fetch-Mode', 'Sec-Fetch-Site', 'Sec-Fetch-User', 'TE', 'Trailer'],
  ...['Transfer-Encoding', 'Upgrade', 'Upgrade-Insecure-Requests', 'User-Agent', 'Vary', 'X-Powered-By'],
]) {
  usualNames.set(name, name.toLowerCase());
  usualNames.set(name.toLowerCase(), name.toLowerCase());
}

/** Header or trailer fields in the order in which they came, with those at hand that decide about the message. */
export class Fields {
  /** Name as it was spelled, name in lower case, value; and so on. */
  readonly list: string[] = [];
  /** Of the request's body, or the response's; undefined if it is not told. */
  contentLength: number | undefined;
  isChunked = false;
  host: string | undefined;
  /** The value of Connection in lower case; of several, with commas. Empty without one. */
  connection = '';
  upgrade: string | undefined;
  expect: string | undefined;

  /** The values under the name, which is in lower case, joined as lists are; undefined without any. */
  get(name: string): string | undefined {
    const { list } = this;
    let found: string | undefined;
    for (let at = 1; at < list.length; at += 3) {
      if (list[at] === name) found = found === undefined ? list[at + 1] : `${found}, ${list[at + 1]}`;
    }
    return found;
  }

  /** Whether the Connection field names this, which is in lower case. */
  connectionHas(option: string): boolean {
    if (this.connection === '') return false;
    if (this.connection === option) return true;
    return this.connection.split(',').some((one) => one.trim() === option);
  }
}

/** Refuses what no part of a head may hold. To be called once with the whole of it. Throws `BadMessage`. */
export function requireClean(head: string): void {
  if (forbidden.test(head))
    throw new BadMessage(400, 'A control character, or a line that does not end with CRLF.');
}

/**
 * Reads the lines from `from` to the end of `head`, which is clean, as is each line's end. Throws `BadMessage`: with 400, or with
 * 501 for a transfer coding that is not `chunked`.
 */
export function parseFields(head: string, from: number): Fields {
  const fields = new Fields();
  const { list } = fields;
  let start = from;
  while (start < head.length) {
    const end = head.indexOf('\r\n', start);
    const colon = head.indexOf(':', start);
    if (end < 0 || colon < 0 || colon > end) throw new BadMessage(400, 'A header line without a colon.');
    const name = head.slice(start, colon);
    // A line that begins with a space goes on with the last one: different programs read it differently.
    const lower = usualNames.get(name) ?? requireName(name);
    const value = trimmed(head, colon + 1, end);
    list.push(name, lower, value);
    note(fields, lower, value);
    start = end + 2;
  }
  if (list.length > fieldsMax * 3) throw new BadMessage(431, `More than ${fieldsMax} header fields.`);
  if (fields.isChunked && fields.contentLength !== undefined)
    throw new BadMessage(400, 'Both Content-Length and Transfer-Encoding.');
  return fields;
}

function requireName(name: string): string {
  if (token.test(name)) return name.toLowerCase();
  throw new BadMessage(400, 'A header name with a character that no name may have.');
}

function trimmed(head: string, from: number, end: number): string {
  // One space before and none after: nearly always.
  const start = head.charCodeAt(from) === 32 ? from + 1 : from;
  const value = head.slice(start, end);
  const first = value.charCodeAt(0);
  const last = value.charCodeAt(value.length - 1);
  return first <= 32 || last <= 32 ? value.replace(outerSpace, '') : value;
}

function note(fields: Fields, name: string, value: string): void {
  switch (name) {
    case 'content-length':
      if (fields.contentLength !== undefined) throw new BadMessage(400, 'More than one Content-Length.');
      if (!/^\d{1,15}$/.test(value)) throw new BadMessage(400, 'A Content-Length that is no number.');
      fields.contentLength = Number(value);
      break;
    case 'transfer-encoding':
      if (fields.isChunked) throw new BadMessage(400, 'More than one Transfer-Encoding.');
      if (value.toLowerCase() !== 'chunked')
        throw new BadMessage(
          /^(?:gzip|deflate|compress)$/i.test(value) ? 501 : 400,
          'A Transfer-Encoding other than chunked.',
        );
      fields.isChunked = true;
      break;
    case 'host':
      if (fields.host !== undefined) throw new BadMessage(400, 'More than one Host.');
      fields.host = value;
      break;
    case 'connection':
      fields.connection =
        fields.connection === '' ? value.toLowerCase() : `${fields.connection},${value.toLowerCase()}`;
      break;
    case 'upgrade':
      fields.upgrade = value;
      break;
    case 'expect':
      fields.expect = value.toLowerCase();
      break;
  }
}
