import { PassThrough } from 'node:stream';
import fastify from 'fastify';
import * as skein from 'skein/client';
import { digest, openNotes, writeChunks } from './notes.js';

const notes = openNotes(skein.guard);
const app = fastify();
await app.register(skein.fastify, { primaryWaitMs: 10_000 });
app.addContentTypeParser('application/octet-stream', (_request, body, done) => done(null, body));
app.post('/upload', async (request) => {
  const { bytes, sha256 } = await digest(request.body);
  return { ...notes.add(`${bytes}`), bytes, sha256 };
});
app.get('/notes', async () => notes.list());
app.get('/notes/:id', async (request) => notes.find(Number(request.params.id)));
app.post('/notes', async (request, reply) => {
  reply.code(201);
  return notes.add(request.body.text);
});
app.get('/visit', async () => notes.add('a visit'));
app.get('/careful', async () => {
  try {
    return notes.add('if possible');
  } catch {
    return { id: null };
  }
});
app.post('/stream/:count', (request, reply) => {
  notes.add('a stream');
  const stream = new PassThrough();
  reply.header('set-cookie', 'own=kept; Path=/').type('application/octet-stream').send(stream);
  writeChunks(stream, Number(request.params.count));
});
app.post('/fail', async () => {
  notes.add('before a failure');
  throw new Error('as the test wants it');
});
await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' });
