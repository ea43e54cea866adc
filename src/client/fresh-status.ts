import type { NodeApi } from './node-api.ts';

/** As much of GET /status as the library uses. What an older node does not tell is missing. */
export type NodeStatus = {
  readonly role?: 'primary' | 'replica';
  /** Whether this node leads beyond doubt at this instant: nobody else has written then. */
  readonly canWrite?: boolean;
  /** Of the lead that this node is part of. */
  readonly epoch?: number;
  /** Of the last primary whose chain all databases of this node were seen to follow. */
  readonly chainEpoch?: number;
  readonly primary?: { readonly node: string; readonly url: string } | null;
  readonly databases?: Readonly<Record<string, { readonly txid: string }>>;
};

/** A node that stands still is not waited for: there is another question soon. */
const answerTimeoutMs = 1_000;

/** Asks the node where many ask at once: one question is under way, and each asker gets the answer to one that began after its own. */
export class FreshStatus {
  readonly #api: NodeApi;
  readonly #heard: (status: NodeStatus) => void;
  #underWay: Promise<NodeStatus | undefined> | undefined;
  #next: Promise<NodeStatus | undefined> | undefined;

  constructor(api: NodeApi, heard: (status: NodeStatus) => void) {
    this.#api = api;
    this.#heard = heard;
  }

  /** Undefined where the node does not answer. Never rejects. */
  ask(): Promise<NodeStatus | undefined> {
    if (!this.#underWay) return this.#begin();
    this.#next ??= this.#underWay.then(() => {
      this.#next = undefined;
      return this.#underWay ?? this.#begin();
    });
    return this.#next;
  }

  #begin(): Promise<NodeStatus | undefined> {
    const answer = this.#ask().finally(() => {
      this.#underWay = undefined;
    });
    this.#underWay = answer;
    return answer;
  }

  async #ask(): Promise<NodeStatus | undefined> {
    try {
      const { status, body } = await this.#api.call('GET', '/status', { timeoutMs: answerTimeoutMs });
      if (status !== 200) return undefined;
      this.#heard(body as NodeStatus);
      return body as NodeStatus;
    } catch {
      return undefined;
    }
  }
}
