import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { Leadership } from './node-events.ts';
import type { Place } from './place.ts';

const timeoutMs = 2_000;

/** Plain JavaScript, since a thread from a text gets no types stripped; it ends with the answer. */
const script = `
const { workerData } = require('node:worker_threads');
const { get } = require('node:http');
const { url, headers, flag, port } = workerData;
const told = (answer) => {
  port.postMessage(answer);
  Atomics.store(flag, 0, 1);
  Atomics.notify(flag, 0);
};
const call = get(url, { headers, agent: false, timeout: ${timeoutMs} }, (answer) => {
  let text = '';
  answer.setEncoding('utf8');
  answer.on('data', (chunk) => { text += chunk; });
  answer.on('end', () => told(answer.statusCode === 200 ? text : ''));
});
call.on('timeout', () => call.destroy());
call.on('error', () => told(''));
`;

/**
 * Asks the local node for its role and waits for the answer, the event loop with it: for the one question of a process that
 * comes before any event was heard. Undefined when the node does not answer.
 */
export function askRoleNow({ api, token }: Place): Leadership | undefined {
  const flag = new Int32Array(new SharedArrayBuffer(4));
  const { port1, port2 } = new MessageChannel();
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const thread = new Worker(script, {
    eval: true,
    // Neither what the app preloads, nor this library once more.
    execArgv: [],
    env: {},
    workerData: { url: new URL('/status', api).href, headers, flag, port: port2 },
    transferList: [port2],
  });
  thread.on('error', () => undefined);
  thread.unref();
  Atomics.wait(flag, 0, 0, timeoutMs + 500);
  const told = receiveMessageOnPort(port1)?.message;
  port1.close();
  void thread.terminate();
  if (typeof told !== 'string' || told === '') return undefined;
  const { role, primary } = JSON.parse(told) as { role?: string; primary?: { node: string } | null };
  if (role === 'primary') return { isPrimary: true };
  return primary ? { isPrimary: false, hostname: primary.node } : { isPrimary: false };
}
