import type { CapturedBatch } from './capture.ts';

/** A replica's database that programs of this node may write, while the primary has halted its own. */
export type LentDatabase = {
  /** Aborts when it is wanted back: this node is to lead, or stops. */
  readonly recalled: AbortSignal;
  /**
   * Keeps programs from writing again, and captures what they wrote: the transactions, or `nothing`; `busy` when a writer did not
   * let go within `timeoutMs`, and it is lent on. Rejects with what `Capture.run` does; what is here is not known then.
   */
  takeBack(timeoutMs: number): Promise<CapturedBatch | 'nothing' | 'busy'>;
  /** While it `isClosing`, lets it be closed with what is not captured in it, for the next start to find. */
  readonly isClosing: () => boolean;
  abandon(): void;
};
