import { BadMessage } from './bad-message.ts';
import { type Fields, parseFields, requireClean } from './fields.ts';

export type ResponseHead = {
  readonly status: number;
  readonly reason: string;
  readonly fields: Fields;
  /** Whether the sender takes another request on the connection. */
  readonly keepsAlive: boolean;
};

/** Reads a head as `HeadReader` gives it. Throws `BadMessage`, whose status is of no use here. */
export function parseResponseHead(head: string): ResponseHead {
  requireClean(head);
  const lineEnd = head.indexOf('\r\n');
  const version = head.slice(0, 9);
  const isHttp10 = version === 'HTTP/1.0 ';
  if (!isHttp10 && version !== 'HTTP/1.1 ') throw new BadMessage(502, 'No HTTP/1.1.');
  const code = head.slice(9, Math.min(12, lineEnd));
  const status = Number(code);
  const after = head.charCodeAt(12);
  if (!/^[1-5]\d\d$/.test(code) || (lineEnd > 12 && after !== 32)) throw new BadMessage(502, 'No status.');
  const fields = parseFields(head, lineEnd + 2);
  if (isHttp10 && fields.isChunked) throw new BadMessage(502, 'HTTP/1.0 has no Transfer-Encoding.');
  return {
    status,
    reason: head.slice(13, lineEnd),
    fields,
    keepsAlive: isHttp10 ? fields.connectionHas('keep-alive') : !fields.connectionHas('close'),
  };
}

/** How the body of a response ends. */
export type ResponseFraming = 'none' | 'length' | 'chunked' | 'close';

export function framingOf({ status, fields }: ResponseHead, method: string): ResponseFraming {
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return 'none';
  if (fields.isChunked) return 'chunked';
  return fields.contentLength === undefined ? 'close' : 'length';
}
