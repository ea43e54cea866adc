// The job worker. It writes all the time, and there is to be one only.

import { database } from './database.ts';
import { counting, type Resource } from './resources.ts';

const region = process.env.FLY_REGION ?? 'here';
const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopping.abort());

const select = database.prepare('SELECT * FROM resources WHERE id = ?');
const update = database.prepare('UPDATE resources SET words = ?, counted_in = ? WHERE id = ?');

console.log('waiting for jobs');
await counting.process(({ data: { id } }) => {
  const resource = select.get(id) as Resource | undefined;
  if (!resource) return;
  const words = resource.text.split(' ').length;
  update.run(words, region, id);
  console.log(`resource ${id} has ${words} words`);
}, stopping.signal);
database.close();
