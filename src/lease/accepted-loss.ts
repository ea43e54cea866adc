/** The record of which a person said that what it stands for may be lost. */
type Judged = { readonly epoch: number; readonly standby: string | null | undefined };

/** A person's word that acknowledged transactions may be lost: good for the record that they saw, and for one request. */
export class AcceptedLoss {
  #judged: Judged | undefined;

  /** It stands until `signal` aborts. */
  accept(judged: Judged, signal: AbortSignal): void {
    this.#judged = judged;
    const end = () => {
      if (this.#judged === judged) this.#judged = undefined;
    };
    signal.addEventListener('abort', end, { once: true });
  }

  covers({ epoch, standby }: Judged): boolean {
    return this.#judged?.epoch === epoch && this.#judged.standby === standby;
  }

  end(): void {
    this.#judged = undefined;
  }
}
