import type { Fields } from './fields.ts';
import type { RequestHead } from './request-head.ts';
import type { ResponseFraming, ResponseHead } from './response-head.ts';

/** Of one connection only, or made anew from what was understood. */
const hopByHop = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

/** What doors and the app's library tell each other, and nobody else tells them. */
const betweenParts = ['skein-again', 'skein-door', 'skein-wrote'];

/** What the door says of the client itself. A program that takes `_` for `-` must not be told otherwise by that way. */
const ofTheDoor = new Set([
  ...hopByHop,
  'host',
  'http2-settings',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'forwarded',
  'skein-hop',
  'fly-replay-src',
  ...betweenParts,
]);

const madeAnew = new Set(['host', 'expect', 'http2-settings', 'skein-hop', ...betweenParts]);
/** Never handed on in a response. */
const ofOneHop = new Set([...hopByHop, ...betweenParts]);

/** Who asks, as the app is told. */
export type Sender = {
  /** Lines that tell of the client, in place of those that `replaces` names. */
  readonly lines: string;
  /** Names in lower case. */
  readonly replaces: ReadonlySet<string>;
};

/** The request as it goes on: what belongs to the client's connection is left out, the framing is made anew. */
export function requestText(
  head: RequestHead,
  sender: Sender,
  extraLines: string,
  options: { readonly expects: boolean },
): string {
  const { fields, method, target, host = '' } = head;
  let text = `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n`;
  const named = namedBy(fields);
  const isReplayed = extraLines.includes('fly-replay-src:');
  const { list } = fields;
  for (let at = 0; at < list.length; at += 3) {
    const lower = list[at + 1];
    if (hopByHop.has(lower) || sender.replaces.has(lower) || named?.has(lower)) continue;
    if (madeAnew.has(lower) || (lower === 'fly-replay-src' && isReplayed)) continue;
    if (lower.includes('_') && ofTheDoor.has(lower.replaceAll('_', '-'))) continue;
    text += `${list[at]}: ${list[at + 2]}\r\n`;
  }
  text += sender.lines + extraLines;
  if (options.expects && fields.expect !== undefined && !head.isHttp10) text += 'Expect: 100-continue\r\n';
  if (/(?:^|,)\s*trailers\s*(?:,|;|$)/i.test(fields.get('te') ?? '')) text += 'TE: trailers\r\n';
  if (fields.isChunked) text += 'Transfer-Encoding: chunked\r\n';
  else if (fields.contentLength !== undefined) text += `Content-Length: ${fields.contentLength}\r\n`;
  if (head.upgrade !== undefined) text += `Connection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n`;
  return `${text}\r\n`;
}

/** The response as it goes on, with its framing and `Connection` for this client. */
export function responseText(
  head: ResponseHead,
  framing: ResponseFraming,
  connection: '' | 'close' | 'keep-alive',
  edits: { readonly drops?: ReadonlySet<string>; readonly lines?: string },
): string {
  const { fields, status, reason } = head;
  let text = `HTTP/1.1 ${status} ${reason}\r\n${fieldLines(fields, edits.drops)}${edits.lines ?? ''}`;
  if (framing === 'chunked') text += 'Transfer-Encoding: chunked\r\n';
  else if (framing === 'length') text += `Content-Length: ${fields.contentLength}\r\n`;
  // Of a response without a body, they tell of the one that there would be.
  else if (framing === 'none' && status !== 204 && status >= 200) {
    if (fields.isChunked) text += 'Transfer-Encoding: chunked\r\n';
    else if (fields.contentLength !== undefined) text += `Content-Length: ${fields.contentLength}\r\n`;
  }
  if (connection !== '') text += `Connection: ${connection}\r\n`;
  return `${text}\r\n`;
}

/** A head with 100 to 199 but 101. */
export function informationText({ status, reason, fields }: ResponseHead): string {
  return `HTTP/1.1 ${status} ${reason}\r\n${fieldLines(fields, undefined)}\r\n`;
}

export function switchingText({ reason, fields }: ResponseHead): string {
  const upgrade = fields.upgrade === undefined ? '' : `Upgrade: ${fields.upgrade}\r\n`;
  return `HTTP/1.1 101 ${reason}\r\n${fieldLines(fields, undefined)}Connection: Upgrade\r\n${upgrade}\r\n`;
}

/** The end of a chunked body. */
export function lastChunkText(trailers: Fields | undefined): string {
  return trailers ? `0\r\n${fieldLines(trailers, undefined)}\r\n` : '0\r\n\r\n';
}

function fieldLines(fields: Fields, drops: ReadonlySet<string> | undefined): string {
  const named = namedBy(fields);
  const { list } = fields;
  let text = '';
  for (let at = 0; at < list.length; at += 3) {
    const lower = list[at + 1];
    if (ofOneHop.has(lower) || named?.has(lower) || drops?.has(lower)) continue;
    text += `${list[at]}: ${list[at + 2]}\r\n`;
  }
  return text;
}

/** What the Connection field says is of this connection only. */
function namedBy({ connection }: Fields): ReadonlySet<string> | undefined {
  if (connection === '' || connection === 'keep-alive' || connection === 'close') return undefined;
  return new Set(connection.split(',').map((name) => name.trim()));
}
