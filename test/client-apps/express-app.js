import express from 'express';
import * as skein from 'skein/client';
import { digest, openNotes, writeChunks } from './notes.js';

const notes = openNotes(skein.guard);
const app = express();
app.use(skein.express({ primaryWaitMs: 10_000 }));
app.post('/upload', async (request, response) => {
  const { bytes, sha256 } = await digest(request);
  response.json({ ...notes.add(`${bytes}`), bytes, sha256 });
});
app.use(express.json());
app.get('/notes', (_request, response) => response.json(notes.list()));
app.get('/notes/:id', (request, response) => response.json(notes.find(Number(request.params.id))));
app.post('/notes', (request, response) => response.status(201).json(notes.add(request.body.text)));
app.get('/visit', (_request, response) => response.json(notes.add('a visit')));
app.get('/careful', (_request, response) => {
  try {
    response.json(notes.add('if possible'));
  } catch {
    response.json({ id: null });
  }
});
app.post('/stream/:count', (request, response) => {
  notes.add('a stream');
  response.cookie('own', 'kept');
  response.set('content-type', 'application/octet-stream');
  return writeChunks(response, Number(request.params.count));
});
app.post('/fail', () => {
  notes.add('before a failure');
  throw new Error('as the test wants it');
});
app.listen(Number(process.env.PORT), '127.0.0.1');
