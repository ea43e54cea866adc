// The external source that the app downloads from: slow, and it counts. Stands for an API on the other side of the world.

import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const port = Number(process.env.SOURCE_PORT ?? 8090);
const delayMs = Number(process.env.SOURCE_DELAY_MS ?? 300);
const lastId = 1000;
const downloads: Record<string, number> = {};

const server = createServer(async (request, response) => {
  const path = request.url ?? '/';
  const id = Number(/^\/articles\/(\d{1,6})$/.exec(path)?.[1]);
  if (path === '/downloads') {
    response.end(`${JSON.stringify(downloads)}\n`);
    return;
  }
  if (Number.isNaN(id)) {
    response.writeHead(404).end();
    return;
  }
  downloads[id] = (downloads[id] ?? 0) + 1;
  console.log(`article ${id}, download ${downloads[id]}`);
  await delay(delayMs);
  if (id > lastId) response.writeHead(404).end();
  else response.end(JSON.stringify({ id, title: `Article ${id}`, text: 'word '.repeat(id).trimEnd() }));
});
server.listen(port, '127.0.0.1', () => console.log(`listening on port ${port}`));
