// The job worker, one in the whole cluster: `on = "primary"`.

import { eq } from 'drizzle-orm';
import { counting, database } from './database.ts';
import { resources } from './schema.ts';

const region = process.env.SKEIN_REGION ?? 'here';
const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopping.abort());

console.log('waiting for jobs');
await counting.process(({ data: { id } }) => {
  const resource = database.select().from(resources).where(eq(resources.id, id)).get();
  if (!resource) return;
  const words = resource.text.split(' ').length;
  database.update(resources).set({ words, counted_in: region }).where(eq(resources.id, id)).run();
  console.log(`resource ${id} has ${words} words`);
}, stopping.signal);
process.exit(0);
