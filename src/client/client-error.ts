/** What an app can be told of; `docs/library.md` explains each. */
export type ClientErrorCode =
  /** A replica cannot write. */
  | 'READ_ONLY'
  /** A position does not exist on this node's chain, or is too old to tell. */
  | 'POSITION_MISMATCH'
  | 'POSITION_INVALID'
  /** The time ended, or the role changed, before it could be said that something is held. */
  | 'WAIT_TIMEOUT'
  | 'DATABASE_NOT_FOUND'
  | 'DATABASE_AMBIGUOUS'
  /** The local node does not answer, or no primary is known. */
  | 'NODE_UNREACHABLE'
  | 'NO_PRIMARY'
  | 'USAGE';

/** An expected failure. The message says what happened and what to do about it. */
export class SkeinClientError extends Error {
  override readonly name: string = 'SkeinClientError';
  /** One of `ClientErrorCode`, or of the node's own codes. */
  readonly code: string;

  constructor(code: ClientErrorCode | (string & {}), message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** The message of anything thrown, for the end of another message. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
