import type { ServerResponse } from 'node:http';
import { SkeinError } from '../base/errors.ts';
import { formatChecksum, formatPosition, formatTxid } from '../ltx/position.ts';
import { type ApiRequest, sendJson } from './api-server.ts';
import type { HaltLocks } from './halt-locks.ts';

/** POST and DELETE /halt, and POST /tx, as LiteFS has them, but that the lock is looked at. */
export class HaltRoutes {
  readonly #locks: HaltLocks;
  readonly #ownId: string;

  constructor(locks: HaltLocks, ownId: string) {
    this.#locks = locks;
    this.#ownId = ownId;
  }

  async halt({ request, response, query }: ApiRequest): Promise<void> {
    if (request.headers['litefs-id'] === this.#ownId)
      throw new SkeinError('USAGE', 'A node needs no halt lock of itself.');
    const { name, id } = namesOf(query, 'id');
    const gone = new AbortController();
    const end = () => gone.abort();
    response.once('close', end);
    const halt = await this.#locks.acquire(name, id, gone.signal).finally(() => response.off('close', end));
    // Nobody knows of it.
    if (halt.isNew && gone.signal.aborted) return this.#locks.release(name, id);
    const { txid, checksum } = halt.position;
    const pos = { TXID: formatTxid(txid), PostApplyChecksum: formatChecksum(checksum) };
    const rest = JSON.stringify({ pos, expires: new Date(halt.expiresAtMs).toISOString() });
    // The id has more digits than a number of JSON.stringify.
    sendText(response, `{"id":${id},${rest.slice(1)}\n`);
  }

  async release({ response, query }: ApiRequest): Promise<void> {
    const { name, id } = namesOf(query, 'id');
    await this.#locks.release(name, id);
    response.writeHead(200).end();
  }

  async take({ request, response, query }: ApiRequest): Promise<void> {
    const { name, id } = namesOf(query, 'lockID');
    sendJson(response, 200, { position: formatPosition(await this.#locks.take(name, id, request)) });
  }
}

function namesOf(query: URLSearchParams, idName: string): { name: string; id: string } {
  const name = query.get('name');
  const id = query.get(idName) ?? '';
  if (!name || name.length > 255) throw new SkeinError('USAGE', 'name required');
  if (!/^-?\d{1,19}$/.test(id)) throw new SkeinError('USAGE', `${idName} required: a number of 64 bits`);
  return { name, id: String(BigInt(id)) };
}

function sendText(response: ServerResponse, text: string): void {
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(text);
}
