import { BadMessage } from './bad-message.ts';
import { type Fields, parseFields, requireClean } from './fields.ts';

export type RequestHead = {
  readonly method: string;
  /** In origin form, or `*`. */
  readonly target: string;
  /** The target without its query. */
  readonly path: string;
  readonly isHttp10: boolean;
  readonly fields: Fields;
  readonly host: string | undefined;
  /** Whether another request may follow on the connection. */
  readonly keepsAlive: boolean;
  /** The protocol that the client asks for; undefined where it asks for none that can be passed on. */
  readonly upgrade: string | undefined;
  readonly hasBody: boolean;
};

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}$/;
const usualMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
const targetPattern = /^\/[!$-;=?-Z[\]^_a-z{|}~\\"<>`]*$/;
const absolute = /^https?:\/\/([^/?#]*)([/?].*)?$/i;
const hostPattern = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+;=%]*)(?::\d{0,5})?$/;

/** Reads a head as `HeadReader` gives it. Throws `BadMessage`: 400, 405, 417, 431, 501 and 505. */
export function parseRequestHead(head: string): RequestHead {
  requireClean(head);
  const lineEnd = head.indexOf('\r\n');
  const methodEnd = head.indexOf(' ');
  const targetEnd = head.indexOf(' ', methodEnd + 1);
  if (methodEnd < 1 || targetEnd < 0 || targetEnd > lineEnd) throw new BadMessage(400, 'No request line.');
  const method = head.slice(0, methodEnd);
  if (!usualMethods.has(method)) requireMethod(method);
  const isHttp10 = isVersion10(head.slice(targetEnd + 1, lineEnd));
  const fields = parseFields(head, lineEnd + 2);
  const given = head.slice(methodEnd + 1, targetEnd);
  const [target, host] = targetPattern.test(given)
    ? [given, fields.host]
    : resolveTarget(method, given, fields.host);
  requireHost(host, isHttp10);
  if (fields.isChunked && isHttp10) throw new BadMessage(400, 'HTTP/1.0 has no Transfer-Encoding.');
  if (fields.expect !== undefined && fields.expect !== '100-continue')
    throw new BadMessage(417, 'An Expect other than 100-continue.');
  const query = target.indexOf('?');
  const hasBody = fields.isChunked || (fields.contentLength ?? 0) > 0;
  return {
    method,
    target,
    path: query < 0 ? target : target.slice(0, query),
    isHttp10,
    fields,
    host,
    keepsAlive: isHttp10 ? fields.connectionHas('keep-alive') : !fields.connectionHas('close'),
    upgrade: isHttp10 || hasBody ? undefined : upgradeOf(fields),
    hasBody,
  };
}

function requireMethod(method: string): void {
  if (!token.test(method)) throw new BadMessage(400, 'No method.');
  if (method === 'CONNECT') throw new BadMessage(405, 'This is no proxy for CONNECT.');
  if (method === 'PRI') throw new BadMessage(505, 'HTTP/2 is not spoken here.');
}

function isVersion10(version: string): boolean {
  if (version === 'HTTP/1.1') return false;
  if (version === 'HTTP/1.0') return true;
  throw new BadMessage(/^HTTP\/\d\.\d$/.test(version) ? 505 : 400, 'An HTTP version other than 1.1 and 1.0.');
}

/** Of a target in absolute form, the host is the one that counts. */
function resolveTarget(
  method: string,
  given: string,
  host: string | undefined,
): readonly [target: string, host: string | undefined] {
  if (given === '*' && method === 'OPTIONS') return [given, host];
  const [, authority, rest = '/'] = absolute.exec(given) ?? [];
  const target = rest.startsWith('?') ? `/${rest}` : rest;
  if (authority === undefined || authority === '' || !targetPattern.test(target))
    throw new BadMessage(400, 'A request target with a character that none may have.');
  // It is missing in HTTP/1.1 also when the target has it.
  return [target, host === undefined ? undefined : authority];
}

function requireHost(host: string | undefined, isHttp10: boolean): void {
  if (host === undefined) {
    if (!isHttp10) throw new BadMessage(400, 'No Host.');
  } else if (!hostPattern.test(host)) throw new BadMessage(400, 'A Host that is no host.');
}

/** HTTP/2 by upgrade is left out: what comes after it would pass unread. */
function upgradeOf({ upgrade, connection }: Fields): string | undefined {
  if (upgrade === undefined || !/(?:^|,)\s*upgrade\s*(?:,|$)/.test(connection)) return undefined;
  return /(?:^|,)\s*h2c?\b/i.test(upgrade) ? undefined : upgrade;
}
