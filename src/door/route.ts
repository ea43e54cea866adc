import type { ConnectionPool } from './connection-pool.ts';
import type { RequestHead } from './request-head.ts';
import type { ResponseHead } from './response-head.ts';

/** An answer of the door's own. */
export type Answer = {
  readonly kind: 'answer';
  readonly status: number;
  /** Complete lines, each with its CRLF. */
  readonly lines?: string;
  readonly body: string;
};

/** Where a request goes on to, and what is done with its response. */
export type Forwarding = {
  readonly kind: 'forward';
  readonly pool: ConnectionPool;
  /** Complete lines for the request's head, each with its CRLF. */
  readonly lines: string;
  /** To another node: a request that is safe to repeat may be routed anew when that is lost. */
  readonly isToNode: boolean;
  /**
   * Called each time that the request is about to be sent, when there is a connection for it: much may have changed while it waited
   * for one. Undefined when it does not belong there any more, and is to be routed anew.
   */
  readonly send: () => Sending | undefined;
};

/** A request that is sent. */
export type Sending = {
  /** The app is done with it, or will never be. */
  readonly settled?: () => void;
  /** `againMark` is the connection's. What is to be changed in the response, perhaps after a wait; undefined for nothing. Rejects with a `SkeinError` at most. */
  readonly review?: (
    head: ResponseHead,
    againMark: string | undefined,
  ) => Review | undefined | Promise<Review | undefined>;
};

export type Review = {
  /** The response is dropped, and the request is routed anew, if it can be sent once more. */
  readonly again?: boolean;
  /** The response is dropped, and the client gets this instead. */
  readonly answer?: Answer;
  /** The response is dropped, and the request goes there instead. */
  readonly replay?: Route;
  /** With `replay`: finds out again where that is, when it could not be reached. Without it, the request begins anew. */
  readonly find?: () => Route | Promise<Route>;
  /** Names in lower case. */
  readonly drops?: ReadonlySet<string>;
  readonly lines?: string;
};

export type Route = Answer | Forwarding;

/** A request as a router sees it. */
export type RoutedRequest = {
  readonly head: RequestHead;
  /** It came through a tunnel: from another door, or from the app. */
  readonly isFromNode: boolean;
  /** By this the door at the other end of a tunnel knows that nothing was done here. */
  readonly againMark: string | undefined;
  /** How the client reached the first proxy. */
  readonly isSecure: boolean;
  /** The node stops: what another door can send elsewhere is not to be begun here. */
  readonly isDraining: boolean;
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
};

/** Decides on each request. */
export type Router = {
  /** Rejects with a `SkeinError` at most. Called again when the place that it named could not be reached. */
  route(request: RoutedRequest): Route | Promise<Route>;
};
