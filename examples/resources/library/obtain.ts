import { eq } from 'drizzle-orm';
import { onPrimary } from 'skein/client';
import { counting, database } from './database.ts';
import { type Resource, resources } from './schema.ts';

const source = process.env.SOURCE_URL ?? 'http://127.0.0.1:8090';
const region = process.env.SKEIN_REGION ?? 'here';

const underWay = new Map<number, Promise<Resource | null>>();

export function find(id: number): Resource | undefined {
  return database.select().from(resources).where(eq(resources.id, id)).get();
}

/**
 * Downloads the resource into the database, on the primary, whichever node asks: so nobody downloads what another region
 * downloads already. When this resolves, the node that asked has it in its own file. Null where the source has none.
 */
export const obtain = onPrimary(
  'obtain',
  (id: number): Promise<Resource | null> => {
    const download = underWay.get(id) ?? downloadAndInsert(id).finally(() => underWay.delete(id));
    underWay.set(id, download);
    return download;
  },
  // Nothing is inserted twice, so that a call may be made again when the primary is lost in the middle of it.
  { idempotent: true },
);

async function downloadAndInsert(id: number): Promise<Resource | null> {
  const found = find(id);
  if (found) return found;
  const response = await fetch(`${source}/articles/${id}`);
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`the source answered ${response.status}`);
  const { title, text } = (await response.json()) as { title: string; text: string };
  return database.transaction((transaction) => {
    const row = { id, title, text, downloaded_in: region };
    const inserted = transaction.insert(resources).values(row).returning().get();
    counting.add({ id });
    return inserted;
  });
}
