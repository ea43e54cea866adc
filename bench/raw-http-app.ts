import { createServer } from 'node:net';
import { reportReady, reportResult, taskInput } from './child-task.ts';

export type RawHttpAppInput = { port: number };

const body = JSON.stringify({
  node: 'bench',
  items: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  text: 'a small answer',
});
const response = Buffer.from(
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
);
const headEnd = Buffer.from('\r\n\r\n');

/** An app that costs next to nothing: the same answer to every request, of which it only finds the end. */
if (import.meta.main) {
  const { port } = taskInput<RawHttpAppInput>();
  const server = createServer({ noDelay: true }, (socket) => {
    let text: Buffer = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      text = text.length === 0 ? chunk : Buffer.concat([text, chunk]);
      const end = text.indexOf(headEnd);
      if (end < 0) return;
      const head = text.toString('latin1', 0, end);
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (text.length < end + 4 + length) return;
      text = text.subarray(end + 4 + length);
      socket.write(response);
    });
  });
  server.listen(port, '127.0.0.1', reportReady);
  process.on('SIGTERM', () => {
    reportResult({});
    process.exit(0);
  });
}
