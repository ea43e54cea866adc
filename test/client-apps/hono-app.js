import { Readable } from 'node:stream';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import * as skein from 'skein/client';
import { digest, openNotes } from './notes.js';

const notes = openNotes(skein.guard);
const app = new Hono();
app.use(skein.hono({ primaryWaitMs: 10_000 }));
app.post('/upload', async (context) => {
  const { bytes, sha256 } = await digest(Readable.fromWeb(context.req.raw.body));
  return context.json({ ...notes.add(`${bytes}`), bytes, sha256 });
});
app.get('/notes', (context) => context.json(notes.list()));
app.get('/notes/:id', (context) => context.json(notes.find(Number(context.req.param('id')))));
app.post('/notes', async (context) => context.json(notes.add((await context.req.json()).text), 201));
app.get('/visit', (context) => context.json(notes.add('a visit')));
app.get('/careful', (context) => {
  try {
    return context.json(notes.add('if possible'));
  } catch {
    return context.json({ id: null });
  }
});
app.post('/stream/:count', (context) => {
  notes.add('a stream');
  const chunks = Array.from({ length: Number(context.req.param('count')) }, (_, index) =>
    Buffer.alloc(65_536, index % 256),
  );
  context.header('set-cookie', 'own=kept; Path=/');
  context.header('content-type', 'application/octet-stream');
  return context.body(Readable.toWeb(Readable.from(chunks)));
});
app.post('/fail', () => {
  notes.add('before a failure');
  throw new Error('as the test wants it');
});
serve({ fetch: app.fetch, port: Number(process.env.PORT), hostname: '127.0.0.1' });
