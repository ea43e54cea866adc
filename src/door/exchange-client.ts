import type { Duplex } from 'node:stream';
import type { DoorShared } from './door-shared.ts';
import type { Sender } from './forward-head.ts';
import type { RequestHead } from './request-head.ts';
import type { Answer } from './route.ts';

/** A request as its client's connection sees it when it is answered. */
export type Answerable = {
  readonly head: RequestHead;
  readonly isRequestComplete: boolean;
};

/** The client's connection as an exchange sees it. */
export type ExchangeClient = {
  readonly shared: DoorShared;
  readonly isTunnel: boolean;
  readonly againMark: string | undefined;
  isSecure(head: RequestHead): boolean;
  sender(head: RequestHead): Sender;
  /** Whether another request may follow this one. */
  keepsAlive(exchange: Answerable): boolean;
  write(text: string): boolean;
  /** False when it has enough; the exchange hears when it takes more. */
  writeParts(parts: readonly (string | Buffer)[]): boolean;
  /** Reads no more of the request for now. */
  pause(): void;
  resume(): void;
  destroy(): void;
  /** Ends it in a way that no end of a body looks like. */
  reset(): void;
  /** Writes the door's own answer to the request, and goes on or closes. */
  answer(exchange: Answerable, answer: Answer): void;
  /** The response is complete. */
  finished(exchange: Answerable, mustClose: boolean): void;
  /** The connection becomes a pipe to the other socket. */
  switchTo(text: string, other: Duplex, rest: Buffer): void;
};
