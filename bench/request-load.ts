import { connect } from 'node:net';
import { reportReady, reportResult, taskInput } from './child-task.ts';
import { type Summary, summarize } from './samples.ts';

export type LoadInput = {
  port: number;
  path: string;
  connections: number;
  /** More lines of the request's head. */
  headers: readonly string[];
  warmUpMs: number;
  durationMs: number;
};

/** `latency` in ms; `requests` with those of the warm-up. */
export type LoadResult = { requestsPerSecond: number; latency: Summary; requests: number };

/**
 * A process that asks for one path over connections that stay open, each with one request at a time. Written on plain sockets,
 * so that it needs less of a processor than the server. Answers must have a content-length.
 */
if (import.meta.main) {
  const { port, path, connections, headers, warmUpMs, durationMs } = taskInput<LoadInput>();
  const head = [`GET ${path} HTTP/1.1`, `Host: 127.0.0.1:${port}`, ...headers, '', ''].join('\r\n');
  const request = Buffer.from(head, 'latin1');
  const latencies: number[] = [];
  let requests = 0;
  const beginMs = performance.now() + warmUpMs;
  const endMs = beginMs + durationMs;
  const one = () =>
    new Promise<void>((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true });
      let sentMs = 0;
      let pending = '';
      const ask = () => {
        sentMs = performance.now();
        socket.write(request);
      };
      socket.on('connect', ask);
      socket.on('error', reject);
      socket.on('data', (chunk) => {
        pending += chunk.toString('latin1');
        const end = pending.indexOf('\r\n\r\n');
        const length = end < 0 ? -1 : Number(/\r\ncontent-length: *(\d+)/i.exec(pending)?.[1]);
        if (length < 0 || pending.length < end + 4 + length) return;
        if (!pending.startsWith('HTTP/1.1 200 ')) {
          socket.destroy(new Error(`answered with ${pending.slice(0, 200)}`));
          return;
        }
        pending = '';
        requests += 1;
        const nowMs = performance.now();
        if (sentMs >= beginMs && nowMs <= endMs) latencies.push(nowMs - sentMs);
        if (nowMs < endMs) {
          ask();
        } else {
          socket.destroy();
          resolve();
        }
      });
    });
  reportReady();
  await Promise.all(Array.from({ length: connections }, one));
  const requestsPerSecond = latencies.length / (durationMs / 1000);
  const latency = summarize(Float64Array.from(latencies));
  reportResult<LoadResult>({ requestsPerSecond, latency, requests });
}
