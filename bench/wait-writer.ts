import { Agent, type RequestOptions, request } from 'node:http';
import { sleep } from '../src/base/sleep.ts';
import { reportReady, reportResult, taskInput } from './child-task.ts';
import { insertNextItem, openItems } from './items.ts';
import { type Summary, summarize } from './samples.ts';
import { sharedClockMs } from './shared-clock.ts';

export type WaitInput = {
  path: string;
  database: string;
  url: string;
  durability: 'local' | 'replica';
  writesPerSecond: number;
  warmUpMs: number;
  durationMs: number;
};

/** From the sending of a request to the end of its answer, in ms; and the rate of writes that was really reached. */
export type WaitResult = { latency: Summary; writesPerSecond: number };

const timeoutMs = 10_000;
/** One is enough while answers come within the time between two writes. */
const connectionsMax = 16;

/** A process that commits at a steady rate and asks its node after each commit to wait until it is durable. */
if (import.meta.main) {
  const { path, database, url, durability, writesPerSecond, warmUpMs, durationMs } = taskInput<WaitInput>();
  const connection = openItems(path);
  const insert = insertNextItem(connection);
  const agent = new Agent({ keepAlive: true, maxSockets: connectionsMax });
  const body = JSON.stringify({ database, durability, timeoutMs });
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const options: RequestOptions = { agent, method: 'POST', headers };
  const waits: Promise<number>[] = [];
  reportReady();

  const startMs = sharedClockMs();
  const endMs = startMs + warmUpMs + durationMs;
  for (let nowMs = startMs; nowMs < endMs; nowMs = sharedClockMs()) {
    const due = Math.floor(((nowMs - startMs) * writesPerSecond) / 1000) + 1;
    while (waits.length < due) {
      insert();
      waits.push(waitOnce(new URL('/wait', url), options, body));
    }
    await sleep(1);
  }
  const seconds = (sharedClockMs() - startMs) / 1000;
  const latenciesMs = Float64Array.from(await Promise.all(waits));
  agent.destroy();
  connection.close();
  const skipped = Math.floor((latenciesMs.length * warmUpMs) / (warmUpMs + durationMs));
  reportResult<WaitResult>({
    latency: summarize(latenciesMs.subarray(skipped)),
    writesPerSecond: latenciesMs.length / seconds,
  });
}

/** Rejects with the answer of a node that did not do it. */
function waitOnce(url: URL, options: RequestOptions, body: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const sentMs = sharedClockMs();
  const call = request(url, options, (answer) => {
    let text = '';
    answer.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    answer.on('error', reject);
    answer.on('end', () => {
      if (answer.statusCode === 200) resolve(sharedClockMs() - sentMs);
      else reject(new Error(`the wait was answered with ${answer.statusCode}: ${text}`));
    });
  });
  call.on('error', reject);
  call.end(body);
  return promise;
}
