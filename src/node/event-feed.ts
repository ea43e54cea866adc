import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LostEntry } from '../database/lost-entries.ts';
import type { LtxHeader } from '../ltx/header.ts';
import { type Checksum, formatChecksum, formatTxid } from '../ltx/position.ts';

/** A listener that has this much unread is cut off: it can connect again and read the positions. */
const unreadBytesMax = 256 * 1024;
const listenersMax = 1_000;

export type LeadershipNews = { readonly isPrimary: boolean; readonly hostname?: string };

/** GET /events: what happens on this node, as LiteFS tells it: JSON lines without end. */
export class EventFeed {
  readonly #listeners = new Set<ServerResponse>();
  #leadership: LeadershipNews = { isPrimary: false };

  /** Keeps the response open until the listener goes, or reads too slowly. False when there are too many. */
  add(request: IncomingMessage, response: ServerResponse): boolean {
    if (this.#listeners.size >= listenersMax) return false;
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    response.write(lineOf({ type: 'init', data: this.#leadership }));
    this.#listeners.add(response);
    request.on('close', () => this.#listeners.delete(response));
    return true;
  }

  /** Tells of committed transactions, local or replicated. */
  transaction(database: string, header: LtxHeader, postApplyChecksum: Checksum): void {
    if (this.#listeners.size === 0) return;
    this.#send({
      type: 'tx',
      db: database,
      data: {
        txID: formatTxid(header.maxTxid),
        postApplyChecksum: formatChecksum(postApplyChecksum),
        pageSize: header.pageSize,
        commit: header.commit,
        timestamp: new Date(header.timestampMs).toISOString(),
      },
    });
  }

  /** Tells of a state that only this node had, and that was kept. LiteFS has no such event. */
  lost({ version: _, database, ...data }: LostEntry): void {
    this.#send({ type: 'lost', db: database, data });
  }

  /** `hostname` is the primary's node name, absent on the primary and when disconnected. */
  leadershipChanged(news: LeadershipNews): void {
    if (news.isPrimary === this.#leadership.isPrimary && news.hostname === this.#leadership.hostname) return;
    this.#leadership = news;
    this.#send({ type: 'primaryChange', data: news });
  }

  close(): void {
    for (const listener of this.#listeners) listener.end();
    this.#listeners.clear();
  }

  #send(event: object): void {
    const line = lineOf(event);
    for (const listener of this.#listeners) {
      if (listener.writableLength > unreadBytesMax) {
        this.#listeners.delete(listener);
        listener.destroy();
      } else {
        listener.write(line);
      }
    }
  }
}

function lineOf(event: object): string {
  return `${JSON.stringify(event)}\n`;
}
