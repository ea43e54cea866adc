import { TimeSlice } from '../base/time-slice.ts';
import { PageChecksums } from '../ltx/page-checksums.ts';
import type { PageSource } from '../sqlite/page-source.ts';

/** Reads every page and returns their checksums, about a gigabyte a second, without holding up the event loop. */
export async function scanChecksums(source: PageSource): Promise<PageChecksums> {
  const checksums = new PageChecksums(source.pageSize);
  checksums.truncate(source.commit);
  const slice = new TimeSlice();
  for (let page = 1; page <= source.commit; page += 1) {
    if (page === source.lockPage) continue;
    checksums.setPage(page, source.page(page));
    if (page % 16 === 0 && slice.isOver) await slice.yield();
  }
  return checksums;
}
