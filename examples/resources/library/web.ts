import { eq } from 'drizzle-orm';
import express from 'express';
import * as skein from 'skein/client';
import { database } from './database.ts';
import { find, obtain } from './obtain.ts';
import { resources } from './schema.ts';

const region = process.env.SKEIN_REGION ?? 'here';
/** What the source does not have. There is nothing to insert for it, so it is remembered here, on every node. */
const missing = skein.cache<true>('missing', { ttl: '1m' });

const app = express();
app.use(skein.express({ healthPath: '/health' }));

app.get('/resources', (_request, response) => {
  const { id, title, words } = resources;
  const all = database.select({ id, title, words }).from(resources).orderBy(id).all();
  response.json({ answered_in: region, resources: all });
});

app.get('/resources/:id', async (request, response) => {
  const id = Number(request.params.id);
  const found = find(id) ?? (missing.has(String(id)) ? null : await obtain(id));
  if (found) {
    response.json({ answered_in: region, ...found });
  } else {
    missing.set(String(id), true);
    response.status(404).json({ answered_in: region, error: 'no such resource' });
  }
});

// The middleware sends it to the primary.
app.delete('/resources/:id', (request, response) => {
  const { changes } = database
    .delete(resources)
    .where(eq(resources.id, Number(request.params.id)))
    .run();
  response.status(changes > 0 ? 204 : 404).end();
});

const port = Number(process.env.PORT ?? 3000);
app.listen(port, '127.0.0.1', () => console.log(`listening on port ${port}`));
