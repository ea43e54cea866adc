/**
 * What an app's process and its node say to each other after `GET /bus` was upgraded: one frame a line, a head of JSON and, after
 * a tab, a body of JSON that the node passes on without looking into it. Raise the version with any change that the other side
 * would not understand.
 */
export const busProtocol = 1;
export const busPath = '/bus';
export const busUpgrade = 'skein-bus';

/** The JSON of arguments, a result, a message or a cached value. */
export const bodyBytesMax = 1 << 20;
/** A head is small: names, keys and stamps. */
export const lineBytesMax = bodyBytesMax + (64 << 10);
export const nameCharactersMax = 200;
export const keyCharactersMax = 1_000;

/** Both sides send at least this often. An app's event loop may stand still for much longer without being lost. */
export const heartbeatMs = 2_000;
export const silenceMaxMs = 30_000;

export type Head = { readonly t: string; readonly [member: string]: unknown };

/** When a cached value was set, on the clock that all writers keep together; equal times are told apart by who wrote. */
export type Stamp = readonly [ms: number, counter: number, writer: string];

/** How an error crosses the bus: without its stack. */
export type ErrorParts = { readonly name: string; readonly message: string; readonly code?: string };

export type FromProcess =
  | { readonly t: 'hello'; readonly protocol: number; readonly pid: number }
  | { readonly t: 'ping'; readonly clockMs: number }
  | { readonly t: 'serve'; readonly names: readonly string[] }
  | {
      /** The body is the array of arguments. */
      readonly t: 'call';
      readonly id: number;
      readonly name: string;
      readonly timeoutMs: number;
      readonly idempotent: boolean;
      /** Made by a function that runs on the primary now. */
      readonly nested: boolean;
      readonly durability: 'default' | 'local' | 'replica';
    }
  | { readonly t: 'cancel'; readonly id: number }
  /** The body is the result; none stands for undefined. */
  | { readonly t: 'ran'; readonly id: number; readonly error?: ErrorParts }
  | { readonly t: 'subscribe'; readonly channel: string }
  | { readonly t: 'unsubscribe'; readonly channel: string }
  | { readonly t: 'publish'; readonly channel: string }
  /** Messages that this process has published, and that did not make it to the node. */
  | { readonly t: 'dropped'; readonly channel: string; readonly count: number }
  | CacheFrame
  | {
      readonly t: 'open';
      readonly cache: string;
      readonly ttlMs: number;
      readonly maxBytes: number;
      readonly digest: string;
    };

export type FromNode =
  | { readonly t: 'welcome'; readonly protocol: number; readonly node: string; readonly region: string }
  | { readonly t: 'refuse'; readonly code: string; readonly message: string }
  | { readonly t: 'ping'; readonly clockMs: number }
  /** Answers `call`: with a result in the body, or with an error and, where the function ran all the same, its result. */
  | { readonly t: 'answer'; readonly id: number; readonly durable: boolean; readonly error?: ErrorParts }
  | { readonly t: 'run'; readonly id: number; readonly name: string }
  | { readonly t: 'message'; readonly channel: string }
  /** Messages of the channel that this process should have got, and did not. */
  | { readonly t: 'dropped'; readonly channel: string; readonly count: number }
  | CacheFrame;

/** Between all: a value that was set, with its JSON in the body; without one it was deleted. `left` is its life in ms. */
export type CacheFrame =
  | {
      readonly t: 'put';
      readonly cache: string;
      readonly key: string;
      readonly stamp: Stamp;
      readonly left: number;
    }
  | { readonly t: 'clear'; readonly cache: string; readonly stamp: Stamp };
