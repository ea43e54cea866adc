import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { digest, openNotes, writeChunks } from './notes.js';

/** An app that has never heard of Skein. */
const notes = openNotes();
const routes = {
  'GET /notes': () => notes.list(),
  'POST /notes': async (request, response) => {
    const { text } = await json(request);
    response.statusCode = 201;
    return notes.add(text);
  },
  'GET /visit': () => notes.add('a visit'),
  'GET /careful': () => {
    try {
      return notes.add('if possible');
    } catch {
      return { id: null };
    }
  },
  'POST /upload': async (request) => {
    const { bytes, sha256 } = await digest(request);
    return { ...notes.add(`${bytes}`), bytes, sha256 };
  },
  'POST /stream': async (_request, response, count) => {
    notes.add('a stream');
    response.writeHead(200, { 'set-cookie': 'own=kept; Path=/', 'content-type': 'application/octet-stream' });
    await writeChunks(response, Number(count));
  },
  'POST /fail': () => {
    notes.add('before a failure');
    throw new Error('as the test wants it');
  },
};

async function answer(request, response) {
  const [, name, argument] = request.url.split('/');
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  try {
    if (method === 'GET' && name === 'notes' && argument) return notes.find(Number(argument));
    return await routes[`${method} /${name}`](request, response, argument);
  } catch (error) {
    response.statusCode = 500;
    return { error: error.message };
  }
}

createServer(async (request, response) => {
  const body = await answer(request, response);
  if (body === undefined) return;
  const text = JSON.stringify(body);
  response.setHeader('content-type', 'application/json');
  response.setHeader('content-length', Buffer.byteLength(text));
  response.end(request.method === 'HEAD' ? undefined : text);
}).listen(Number(process.env.PORT), '127.0.0.1');
