import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** What the apps of this folder have in common: a table of notes, and what is done with it. */
export function openNotes(guard = (database) => database) {
  const database = guard(new DatabaseSync(join(process.env.SKEIN_DIR, 'app.db'), { timeout: 5_000 }));
  const insert = database.prepare('INSERT INTO note (text, node) VALUES (?, ?) RETURNING id');
  const count = database.prepare('SELECT count(*) AS count, coalesce(max(id), 0) AS last FROM note');
  const byId = database.prepare('SELECT text, node FROM note WHERE id = ?');
  return {
    add: (text) => ({ id: Number(insert.get(text, process.env.FLY_MACHINE_ID).id) }),
    list: () => ({ ...count.get(), node: process.env.FLY_MACHINE_ID }),
    find: (id) => ({ note: byId.get(id) ?? null, node: process.env.FLY_MACHINE_ID }),
  };
}

/** Reads a body of any size without keeping it. */
export async function digest(stream) {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of stream) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}

/** Writes `count` chunks of 64 KiB, as fast as the client reads. */
export async function writeChunks(response, count) {
  for (let index = 0; index < count; index += 1) {
    if (!response.write(Buffer.alloc(65_536, index % 256))) await once(response, 'drain');
  }
  response.end();
}
