import { reportReady, reportResult, taskInput } from './child-task.ts';
import { LoadConnection, type LoadRequest, loadRequest } from './load-connection.ts';
import { type Summary, summarize } from './samples.ts';

export type HttpLoadInput = LoadRequest & {
  port: number;
  /** Where a request is sent once more that was answered with `fly-replay`, as a proxy in front of all nodes does it. */
  replayPort?: number;
  connections: number;
  warmUpMs: number;
  durationMs: number;
};

/** Times from the sending of a request to the last byte of its response, in ms. `requests` with those of the warm-up. */
export type HttpLoadResult = {
  requestsPerSecond: number;
  latency: Summary;
  requests: number;
  failed: number;
};

/**
 * A process that sends requests over connections that stay open, on each the next one when the last is answered. Written on
 * plain sockets, so that it needs less of a processor than the server. Answers must have a content-length.
 */
if (import.meta.main) {
  const input = taskInput<HttpLoadInput>();
  const request = loadRequest(input);
  const samples: number[] = [];
  let requests = 0;
  let failed = 0;
  let isMeasuring = false;
  let isOver = false;
  const clients = await Promise.all(Array.from({ length: input.connections }, openClient));
  for (const client of clients) run(client);
  reportReady();
  await new Promise((resolve) => setTimeout(resolve, input.warmUpMs));
  isMeasuring = true;
  const beganMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, input.durationMs));
  isOver = true;
  const seconds = (performance.now() - beganMs) / 1_000;
  for (const { first, replay } of clients) {
    first.end();
    replay?.end();
  }
  const latency = summarize(Float64Array.from(samples));
  reportResult<HttpLoadResult>({ requestsPerSecond: samples.length / seconds, latency, requests, failed });

  async function openClient(): Promise<{ first: LoadConnection; replay?: LoadConnection }> {
    const first = await LoadConnection.open(input.port);
    return input.replayPort === undefined
      ? { first }
      : { first, replay: await LoadConnection.open(input.replayPort) };
  }

  function run({ first, replay }: { first: LoadConnection; replay?: LoadConnection }): void {
    let sentMs = 0;
    const send = () => {
      sentMs = performance.now();
      first.ask(request, (head) => {
        if (replay && /\r\nfly-replay:/i.test(head)) replay.ask(request, answered);
        else answered(head);
      });
    };
    const answered = (head: string) => {
      requests += 1;
      if (!head.startsWith('HTTP/1.1 200')) failed += 1;
      if (isMeasuring && !isOver) samples.push(performance.now() - sentMs);
      send();
    };
    send();
  }
}
