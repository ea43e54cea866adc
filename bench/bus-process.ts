import { performance } from 'node:perf_hooks';
import { cache } from '../src/client/cache.ts';
import { channel } from '../src/client/channel.ts';
import { onPrimary } from '../src/client/on-primary.ts';
import { reportReady, reportResult, taskInput } from './child-task.ts';
import { insertNextItem, openItems } from './items.ts';
import { type Summary, summarize } from './samples.ts';
import { sharedClockMs } from './shared-clock.ts';

export type BusInput = {
  /** The API of the node beside which this process runs. */
  url: string;
  path: string;
  task: 'serve' | 'call' | 'cache' | 'listen' | 'publish';
  count: number;
};
export type CallResult = { read: Summary; write: Summary };
/** µs for one, the mean of many. */
export type CacheResult = { getUs: number; setUs: number };
export type ListenResult = { delayMs: Summary };

const warmUpShare = 0.1;
const keys = 1_000;
const publishEveryMs = 2;

const serve = ({ path }: BusInput) => {
  const isServer = taskInput<BusInput>().task === 'serve';
  const insert = isServer ? insertNextItem(openItems(path)) : () => undefined;
  return {
    read: onPrimary('bench-read', (id: number) => id),
    write: onPrimary('bench-write', () => {
      insert();
    }),
  };
};

const tasks: Record<BusInput['task'], (input: BusInput) => Promise<object>> = {
  serve: async (input) => {
    serve(input);
    reportReady();
    // What registers functions only does not keep a process running.
    const alive = setInterval(() => undefined, 60_000);
    await new Promise((resolve) => process.once('SIGTERM', resolve));
    clearInterval(alive);
    return {};
  },

  call: async (input): Promise<CallResult> => {
    const { read, write } = serve(input);
    await read(0);
    reportReady();
    return { read: await timed(input.count, () => read(1)), write: await timed(input.count, () => write()) };
  },

  cache: async ({ count }): Promise<CacheResult> => {
    const values = cache<{ name: string; price: number }>('bench', { ttl: '10m', maxBytes: 64 << 20 });
    const names = Array.from({ length: keys }, (_, index) => `product-${index}`);
    for (const name of names) values.set(name, { name, price: 1 });
    reportReady();
    let found = 0;
    const getUs = each(count, (index) => {
      if (values.get(names[index % keys])) found += 1;
    });
    if (found !== count) throw new Error(`${count - found} of ${count} values were not there`);
    const slice = 1_000;
    const setMs: number[] = [];
    // In slices, between which what was set goes out: that is not in the time of the call.
    for (let done = 0; done < count; done += slice) {
      setMs.push(
        each(slice, (index) => values.set(names[index % keys], { name: names[index % keys], price: done })),
      );
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return { getUs, setUs: setMs.reduce((sum, ms) => sum + ms, 0) / setMs.length };
  },

  listen: async ({ count }): Promise<ListenResult> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const delays: number[] = [];
    channel<number>('bench').subscribe((sentMs) => {
      delays.push(sharedClockMs() - sentMs);
      if (delays.length === count) resolve();
    });
    reportReady();
    await promise;
    return { delayMs: summarize(Float64Array.from(delays.slice(count * warmUpShare))) };
  },

  publish: async () => {
    const news = channel<number>('bench');
    reportReady();
    const sending = setInterval(() => news.publish(sharedClockMs()), publishEveryMs);
    await new Promise((resolve) => process.once('SIGTERM', resolve));
    clearInterval(sending);
    return {};
  },
};

/** One of an app's processes, beside a node. */
if (import.meta.main) {
  const input = taskInput<BusInput>();
  process.env.SKEIN_API = input.url;
  const result = await tasks[input.task](input);
  reportResult(result);
  process.exit(0);
}

async function timed(count: number, call: () => Promise<unknown>): Promise<Summary> {
  const times: number[] = [];
  for (let done = 0; done < count; done += 1) {
    const startedMs = performance.now();
    await call();
    times.push(performance.now() - startedMs);
  }
  return summarize(Float64Array.from(times.slice(count * warmUpShare)));
}

/** µs for one. */
function each(count: number, task: (index: number) => void): number {
  const startedMs = performance.now();
  for (let index = 0; index < count; index += 1) task(index);
  return ((performance.now() - startedMs) * 1_000) / count;
}
