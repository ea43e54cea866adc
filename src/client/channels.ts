import { BusError } from './bus-error.ts';
import type { Connection } from './connection.ts';
import { frozen } from './frozen.ts';
import { type SubscribeOptions, Subscriber } from './subscriber.ts';

const channelsMax = 2_000;
const tellMs = 100;

type Subscription = {
  readonly subscribers: Set<Subscriber<unknown>>;
  readonly release: (() => void) | undefined;
};

/** What one process subscribes to, and what it publishes. */
export class Channels {
  readonly #connection: Connection | undefined;
  readonly #subscriptions = new Map<string, Subscription>();
  /** By channel: messages that did not make it to the node, and of which nobody was told yet. */
  readonly #unsent = new Map<string, number>();
  #telling: NodeJS.Timeout | undefined;
  #isAdded = false;
  #wasClosed = false;

  constructor(connection: Connection | undefined) {
    this.#connection = connection;
    connection?.on('message', ({ channel }, text) => this.#deliver(channel, text ?? 'null'));
    connection?.on('dropped', ({ channel, count }) => this.#missed(channel, count));
  }

  /** False when there is no link to the node. */
  publish(channel: string, text: string): boolean {
    this.#add();
    this.#deliver(channel, text);
    if (!this.#connection) return true;
    return this.#connection.send({ t: 'publish', channel }, text, () => this.#drop(channel));
  }

  /** Returns what ends it. Throws `BUS_OVERLOADED`. */
  subscribe(channel: string, listener: (message: unknown) => unknown, options: SubscribeOptions): () => void {
    this.#add();
    const subscription = this.#subscriptions.get(channel) ?? this.#begin(channel);
    const subscriber = new Subscriber(listener, options);
    subscription.subscribers.add(subscriber);
    return () => {
      subscriber.end();
      if (!subscription.subscribers.delete(subscriber) || subscription.subscribers.size > 0) return;
      this.#subscriptions.delete(channel);
      subscription.release?.();
      this.#connection?.send({ t: 'unsubscribe', channel });
    };
  }

  #begin(channel: string): Subscription {
    if (this.#subscriptions.size >= channelsMax) {
      throw new BusError(
        'BUS_OVERLOADED',
        `This process subscribes to ${channelsMax} channels already. Use fewer, and tell in the message whom it is for.`,
      );
    }
    const subscription = { subscribers: new Set<Subscriber<unknown>>(), release: this.#connection?.hold() };
    this.#subscriptions.set(channel, subscription);
    this.#connection?.send({ t: 'subscribe', channel });
    return subscription;
  }

  #add(): void {
    if (this.#isAdded) return;
    this.#isAdded = true;
    this.#connection?.add({
      opened: () => this.#opened(),
      closed: () => {
        this.#wasClosed = true;
      },
    });
  }

  #opened(): void {
    for (const [channel, { subscribers }] of this.#subscriptions) {
      this.#connection?.send({ t: 'subscribe', channel });
      if (this.#wasClosed) for (const subscriber of subscribers) subscriber.miss(undefined);
    }
    this.#wasClosed = false;
  }

  #deliver(channel: string, text: string): void {
    const subscription = this.#subscriptions.get(channel);
    if (!subscription) return;
    const message = frozen(JSON.parse(text));
    for (const subscriber of subscription.subscribers) subscriber.push(message);
  }

  #missed(channel: string, count: number): void {
    for (const subscriber of this.#subscriptions.get(channel)?.subscribers ?? []) subscriber.miss(count);
  }

  #drop(channel: string): void {
    this.#unsent.set(channel, (this.#unsent.get(channel) ?? 0) + 1);
    this.#telling ??= setTimeout(() => {
      this.#telling = undefined;
      for (const [name, count] of this.#unsent)
        this.#connection?.send({ t: 'dropped', channel: name, count });
      this.#unsent.clear();
    }, tellMs);
  }
}
