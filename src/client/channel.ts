import { BusError } from './bus-error.ts';
import { bodyBytesMax, nameCharactersMax } from './bus-frames.ts';
import { Channels } from './channels.ts';
import { processConnection } from './connection.ts';
import type { SubscribeOptions } from './subscriber.ts';

export type MessagesOptions = SubscribeOptions & { readonly signal?: AbortSignal };

/** Messages to every process of every node that subscribes. Each gets each at most once, in the order of who published it. */
export class Channel<Message> {
  readonly name: string;
  readonly #channels: Channels;

  /** To be had by `channel`. */
  constructor(name: string, channels: Channels) {
    this.name = name;
    this.#channels = channels;
  }

  /**
   * Hands the message to the subscribers of this process and, by way of the node, to those of all others. False when there is no link
   * to the node: only this process has it then. Throws `PAYLOAD_TOO_LARGE`, and what JSON does not take.
   */
  publish(message: Message): boolean {
    const text = JSON.stringify(message) ?? 'null';
    if (text.length <= bodyBytesMax && Buffer.byteLength(text) <= bodyBytesMax)
      return this.#channels.publish(this.name, text);
    throw new BusError(
      'PAYLOAD_TOO_LARGE',
      `A message to channel ${this.name} takes over ${bodyBytesMax} bytes of JSON. Send a reference to large data.`,
    );
  }

  /**
   * Has the listener called with each message; with one that returns a promise, when that of the message before has settled. Returns
   * what ends the subscription; while there is one, the process goes on running. Throws `BUS_OVERLOADED`.
   */
  subscribe(listener: (message: Message) => unknown, options: SubscribeOptions = {}): () => void {
    return this.#channels.subscribe(this.name, listener as (message: unknown) => unknown, options);
  }

  /** All messages from now on, until the signal aborts or the loop is left. Throws `BUS_OVERLOADED`. */
  messages({ signal, ...options }: MessagesOptions = {}): AsyncIterableIterator<Message> {
    let given: { message: Message; taken: () => void } | undefined;
    let wake: (() => void) | undefined;
    let isOver = signal?.aborted === true;
    const unsubscribe = this.subscribe(
      (message) =>
        // What waits, and its bound, is the subscription's: the next comes when this one is taken.
        new Promise<void>((taken) => {
          given = { message, taken };
          wake?.();
        }),
      options,
    );
    const end = () => {
      isOver = true;
      unsubscribe();
      given?.taken();
      signal?.removeEventListener('abort', end);
      wake?.();
    };
    signal?.addEventListener('abort', end, { once: true });
    if (isOver) end();
    const next = async (): Promise<IteratorResult<Message>> => {
      while (!given && !isOver)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      if (isOver || !given) return { done: true, value: undefined };
      const { message, taken } = given;
      given = undefined;
      taken();
      return { done: false, value: message };
    };
    return {
      next,
      return: async () => {
        end();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    return this.messages();
  }
}

let shared: Channels | undefined;

/**
 * The channel of this name. What is published goes to whoever listens now: nothing is kept for later. Messages are JSON, and are
 * frozen where they arrive. Throws `USAGE`.
 */
export function channel<Message = unknown>(name: string): Channel<Message> {
  if (name.length === 0 || name.length > nameCharactersMax)
    throw new BusError('USAGE', `A channel's name has 1 to ${nameCharactersMax} characters.`);
  shared ??= new Channels(processConnection());
  return new Channel<Message>(name, shared);
}
