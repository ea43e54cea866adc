import { connect, type Socket } from 'node:net';
import { reportReady, reportResult, taskInput } from './child-task.ts';
import { type Summary, summarize } from './samples.ts';

export type HttpLoadInput = {
  port: number;
  connections: number;
  method: 'GET' | 'POST';
  warmUpMs: number;
  durationMs: number;
};

/** Times from the sending of a request to the last byte of its response, in ms. */
export type HttpLoadResult = { requestsPerSecond: number; latency: Summary; failed: number };

const headEnd = Buffer.from('\r\n\r\n');

/** A process that sends requests over connections that stay open, on each the next one when the last is answered. */
if (import.meta.main) {
  const { port, connections, method, warmUpMs, durationMs } = taskInput<HttpLoadInput>();
  const body = method === 'POST' ? 'a small body that is to be written' : '';
  const length = body === '' ? '' : `Content-Length: ${body.length}\r\n`;
  const request = Buffer.from(
    `${method} /items/1?view=short HTTP/1.1\r\nHost: app.example\r\nUser-Agent: bench\r\nAccept: application/json\r\nAccept-Encoding: gzip\r\nCookie: session=0123456789abcdef\r\n${length}\r\n${body}`,
  );
  const samples: number[] = [];
  let failed = 0;
  let isMeasuring = false;
  let isOver = false;
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(port)));
  for (const socket of sockets) ask(socket);
  reportReady();
  await new Promise((resolve) => setTimeout(resolve, warmUpMs));
  isMeasuring = true;
  const beganMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, durationMs));
  isOver = true;
  const seconds = (performance.now() - beganMs) / 1_000;
  for (const socket of sockets) socket.destroy();
  reportResult<HttpLoadResult>({
    requestsPerSecond: samples.length / seconds,
    latency: summarize(Float64Array.from(samples)),
    failed,
  });

  function ask(socket: Socket): void {
    let sentMs = 0;
    let left = -1;
    const send = () => {
      sentMs = performance.now();
      left = -1;
      socket.write(request);
    };
    socket.on('data', (chunk: Buffer) => {
      let rest = chunk.length;
      if (left < 0) {
        // Responses are small: the head comes in one piece.
        const end = chunk.indexOf(headEnd);
        const head = chunk.toString('latin1', 0, end);
        if (!head.startsWith('HTTP/1.1 200')) failed += 1;
        left = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
        rest -= end + 4;
      }
      left -= rest;
      if (left > 0) return;
      if (isMeasuring && !isOver) samples.push(performance.now() - sentMs);
      send();
    });
    socket.on('error', () => {
      failed += 1;
    });
    send();
  }
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => resolve(socket));
    socket.once('error', reject);
  });
}
