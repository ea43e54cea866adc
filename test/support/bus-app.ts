import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { cache } from '../../src/client/cache.ts';
import { channel } from '../../src/client/channel.ts';
import { onPrimary } from '../../src/client/on-primary.ts';
import { readLines } from './line-reader.ts';

/** One of an app's processes, as `BusProcess` starts it: it does what comes in as lines, and tells how that ended. */
const [path, name] = process.argv.slice(2);

let database: DatabaseSync | undefined;

/** Opened late: on a replica the file comes from the primary. */
function open(): DatabaseSync {
  database ??= new DatabaseSync(path);
  return database;
}

function insert(value: string): { id: number; by: string } {
  const statement = open().prepare('INSERT INTO notes (value) VALUES (?) RETURNING id');
  return { id: Number(statement.get(value)?.id), by: name };
}

const note = onPrimary('note', insert);
const functions: Record<string, ReturnType<typeof onPrimary<never[], unknown>>> = {
  note,
  noteTwice: onPrimary('noteTwice', async (value: string) => [await note(value), await note(value)]),
  noteSlowly: onPrimary('noteSlowly', async (value: string, ms: number) => {
    const noted = insert(value);
    await delay(ms);
    return noted;
  }),
  noteSlowlyTwice: onPrimary('noteSlowlyTwice', async (value: string, ms: number) => {
    const first = await note(value);
    await delay(ms);
    return [first, await note(value)];
  }),
  noteAgain: onPrimary(
    'noteAgain',
    async (value: string, ms: number) => {
      const noted = insert(value);
      await delay(ms);
      return noted;
    },
    { idempotent: true },
  ),
  echo: onPrimary('echo', (...values: unknown[]) => values),
  nothing: onPrimary('nothing', () => undefined),
  fail: onPrimary('fail', () => {
    throw Object.assign(new RangeError('too far'), { code: 'FAR' });
  }),
  who: onPrimary('who', () => name),
  strict: onPrimary('strict', insert, { durability: 'replica' }),
};
if (name.endsWith('-only')) onPrimary(name, () => name);

const prices = () => cache('prices', { ttl: '5m', maxBytes: 4 << 20 });

const heard: unknown[] = [];
let missed = 0;
const unsubscribes = new Map<string, () => void>();

const commands: Record<string, (...args: never[]) => unknown> = {
  ready: () => name,
  call: async (called: string, args: never[], options: object = {}) =>
    (functions[called] ?? onPrimary(called, () => 'here')).with(options)(...args),
  subscribe: (to: string) => {
    const listener = (message: unknown) => void heard.push(message);
    unsubscribes.set(
      to,
      channel(to).subscribe(listener, {
        missed: (count) => {
          missed += count ?? 1_000_000;
        },
      }),
    );
  },
  unsubscribe: (from: string) => unsubscribes.get(from)?.(),
  publish: (to: string, ...messages: unknown[]) => messages.map((message) => channel(to).publish(message)),
  /** One message after the other, as fast as it goes. */
  flood: (to: string, count: number, characters: number) => {
    const filling = 'x'.repeat(characters);
    for (let number = 0; number < count; number += 1) channel(to).publish({ number, filling });
  },
  heard: () => heard,
  cacheSet: (key: string, value: unknown, ttl?: number) => prices().set(key, value, ttl ? { ttl } : {}),
  cacheFill: (prefix: string, count: number) => {
    for (let number = 0; number < count; number += 1) prices().set(`${prefix}${number}`, { prefix, number });
  },
  /** Sets the same keys again and again. */
  cacheRewrite: (count: number, rounds: number, characters: number) => {
    const filling = 'x'.repeat(characters);
    for (let round = 1; round <= rounds; round += 1)
      for (let number = 0; number < count; number += 1) prices().set(`key-${number}`, { round, filling });
  },
  cacheRounds: () => {
    const held = prices();
    return held.keys().map((key) => (held.get(key) as { round: number }).round);
  },
  cacheGet: (key: string) => prices().get(key),
  cacheDelete: (key: string) => prices().delete(key),
  cacheClear: () => prices().clear(),
  cacheAll: () => {
    const held = prices();
    return Object.fromEntries(
      held
        .keys()
        .sort()
        .map((key) => [key, held.get(key)]),
    );
  },
  heardNumbers: () => heard.map((message) => (message as { number: number }).number),
  missed: () => missed,
  /** Calls, and reads on this node right after it. */
  noteAndCount: async (value: string) => {
    const { id, by } = await note(value);
    return { by, count: open().prepare('SELECT count(*) AS n FROM notes WHERE id = ?').get(id)?.n };
  },
};

readLines(process.stdin, async (line) => {
  const { id, command, args } = JSON.parse(line);
  const say = (answer: object) => process.stdout.write(`${JSON.stringify({ id, ...answer })}\n`);
  try {
    say({ result: await commands[command](...(args as never[])) });
  } catch (error) {
    const { name: errorName, message, code, stack, result } = error as Error & Record<string, unknown>;
    say({ error: { name: errorName, message, code, stack, result } });
  }
});
process.stdin.on('end', () => process.exit(0));
