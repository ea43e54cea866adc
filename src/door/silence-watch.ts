import type { Socket } from 'node:net';
import { monotonicMs } from '../base/clock.ts';

export type SilenceLimits = {
  /** A tunnel on which nothing has come for longer has its node asked. */
  readonly silentMs: number;
  /** How long that node has to answer, whatever it answers. */
  readonly answerMs: number;
  /** How often in a row it may fail to. */
  readonly attempts: number;
};

const usualLimits: SilenceLimits = { silentMs: 5_000, answerMs: 5_000, attempts: 2 };

/** What is known of one node by its tunnels. */
type Node = {
  readonly sockets: Map<Socket, { bytes: number; sinceMs: number }>;
  isAsked: boolean;
  failures: number;
  askedAtMs: number;
};

/**
 * Ends tunnels to nodes that have fallen silent: stopped, or cut off, without the end of their connections. An app may take as
 * long as it likes, so it is the node's API that is asked.
 */
export class SilenceWatch {
  readonly #secret: string | undefined;
  readonly #limits: SilenceLimits;
  readonly #nodes = new Map<string, Node>();
  #looking: NodeJS.Timeout | undefined;
  readonly #stopping = new AbortController();

  constructor(secret: string | undefined, limits: SilenceLimits = usualLimits) {
    this.#secret = secret;
    this.#limits = limits;
  }

  /** Looks after a tunnel to the node with this origin of its API, until the socket closes. */
  add(url: string, socket: Socket): void {
    if (socket.destroyed || this.#stopping.signal.aborted) return;
    const node = this.#nodes.get(url) ?? { sockets: new Map(), isAsked: false, failures: 0, askedAtMs: 0 };
    this.#nodes.set(url, node);
    node.sockets.set(socket, { bytes: socket.bytesRead, sinceMs: monotonicMs() });
    this.#looking ??= setInterval(() => this.#look(), this.#limits.silentMs / 4).unref();
    socket.once('close', () => {
      node.sockets.delete(socket);
      if (node.sockets.size === 0 && this.#nodes.get(url) === node) this.#nodes.delete(url);
      if (this.#nodes.size > 0) return;
      clearInterval(this.#looking);
      this.#looking = undefined;
    });
  }

  stop(): void {
    this.#stopping.abort();
    clearInterval(this.#looking);
    this.#looking = undefined;
    this.#nodes.clear();
  }

  #look(): void {
    const nowMs = monotonicMs();
    const { silentMs } = this.#limits;
    for (const [url, node] of this.#nodes) {
      let isSilent = false;
      for (const [socket, seen] of node.sockets) {
        if (socket.bytesRead === seen.bytes) {
          isSilent ||= nowMs - seen.sinceMs >= silentMs;
          continue;
        }
        seen.bytes = socket.bytesRead;
        seen.sinceMs = nowMs;
      }
      const isDue = node.failures > 0 || nowMs - node.askedAtMs >= silentMs;
      if (isSilent && isDue && !node.isAsked) void this.#ask(url, node);
    }
  }

  /** Never rejects. */
  async #ask(url: string, node: Node): Promise<void> {
    const { answerMs, attempts } = this.#limits;
    const secret = this.#secret;
    node.isAsked = true;
    node.askedAtMs = monotonicMs();
    try {
      const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(answerMs)]);
      const headers = secret === undefined ? undefined : { authorization: `Bearer ${secret}` };
      const answer = await fetch(new URL('/health', url), { headers, signal });
      await answer.body?.cancel();
      node.failures = 0;
    } catch {
      node.failures += 1;
    } finally {
      node.isAsked = false;
    }
    if (node.failures >= attempts) this.#end(node, node.askedAtMs - answerMs * (attempts - 1));
  }

  /** Those on which nothing has come since it was asked first. */
  #end(node: Node, sinceMs: number): void {
    node.failures = 0;
    for (const [socket, seen] of node.sockets) {
      if (socket.bytesRead === seen.bytes && seen.sinceMs <= sinceMs)
        socket.destroy(new Error('the other node has fallen silent'));
    }
  }
}
