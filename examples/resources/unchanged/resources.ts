import { Queue } from '../queue.ts';
import { database } from './database.ts';

export interface Resource {
  id: number;
  title: string;
  text: string;
  downloaded_in: string;
  words: number | null;
  counted_in: string | null;
}

const source = process.env.SOURCE_URL ?? 'http://127.0.0.1:8090';
const region = process.env.FLY_REGION ?? 'here';

const selectAll = database.prepare('SELECT id, title, words FROM resources ORDER BY id');
const select = database.prepare('SELECT * FROM resources WHERE id = ?');
const logDownload = database.prepare(
  "INSERT INTO downloads (resource_id, began_at) VALUES (?, datetime('now'))",
);
const insert = database.prepare(
  'INSERT INTO resources (id, title, text, downloaded_in) VALUES (@id, @title, @text, @region)',
);
const remove = database.prepare('DELETE FROM resources WHERE id = ?');

/** Jobs to count the words of a resource. */
export const counting = new Queue<{ id: number }>(database, 'counting');

/** Downloads that are under way: whoever wants the same meanwhile waits for the same one. */
const underWay = new Map<number, Promise<Resource | undefined>>();

export function allResources(): unknown[] {
  return selectAll.all();
}

/** The resource, from the database or else from the source; undefined where neither has it. */
export function resource(id: number): Promise<Resource | undefined> {
  const found = select.get(id) as Resource | undefined;
  if (found) return Promise.resolve(found);
  let download = underWay.get(id);
  if (!download) {
    // The source charges by the download: each is on record before it begins.
    logDownload.run(id);
    download = downloadAndInsert(id).finally(() => underWay.delete(id));
    underWay.set(id, download);
  }
  return download;
}

async function downloadAndInsert(id: number): Promise<Resource | undefined> {
  const response = await fetch(`${source}/articles/${id}`);
  if (response.status === 404) return undefined;
  if (!response.ok) throw new Error(`the source answered ${response.status}`);
  const { title, text } = (await response.json()) as { title: string; text: string };
  database.transaction(() => {
    insert.run({ id, title, text, region });
    counting.add({ id });
  })();
  return select.get(id) as Resource;
}

/** Forgets it; false where there was none. */
export function forget(id: number): boolean {
  return remove.run(id).changes > 0;
}
