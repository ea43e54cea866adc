import { STATUS_CODES } from 'node:http';
import type { Answer } from './route.ts';

/** The door's own answer, complete. Its body is UTF-8, which a head is not. */
export function answerParts(
  answer: Answer,
  method: string,
  keepsAlive: boolean,
  isHttp10: boolean,
): (string | Buffer)[] {
  const { status, lines = '' } = answer;
  const body = Buffer.from(answer.body);
  const connection = keepsAlive ? (isHttp10 ? 'Connection: keep-alive\r\n' : '') : 'Connection: close\r\n';
  const type = /^content-type:/im.test(lines) ? '' : 'Content-Type: text/plain; charset=utf-8\r\n';
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${type}Content-Length: ${body.length}\r\nCache-Control: no-store\r\n${lines}${connection}\r\n`;
  return method === 'HEAD' ? [head] : [head, body];
}
