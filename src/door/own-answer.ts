import { STATUS_CODES } from 'node:http';
import type { Answer } from './route.ts';

/** The door's own answer, complete. */
export function answerText(answer: Answer, method: string, keepsAlive: boolean, isHttp10: boolean): string {
  const { status, lines = '', body } = answer;
  const bytes = Buffer.byteLength(body);
  const connection = keepsAlive ? (isHttp10 ? 'Connection: keep-alive\r\n' : '') : 'Connection: close\r\n';
  const type = /^content-type:/im.test(lines) ? '' : 'Content-Type: text/plain; charset=utf-8\r\n';
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${type}Content-Length: ${bytes}\r\nCache-Control: no-store\r\n${lines}${connection}\r\n`;
  return method === 'HEAD' ? head : head + body;
}
