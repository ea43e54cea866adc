/**
 * Every expected failure, with the exit code that the command line gives it: 2 for configuration, 1 otherwise.
 * `docs/errors.md` explains each; a test compares the two lists.
 */
export const exitCodes = {
  CONFIG_INVALID: 2,
  CONFIG_NOT_FOUND: 2,
  CONFIG_SYNTAX: 2,
  CONFIG_UNKNOWN_KEY: 2,
  SECRET_REQUIRED: 2,
  USAGE: 2,

  COMMAND_NOT_FOUND: 1,
  DIRECTORY_IN_USE: 1,
  DIRECTORY_NOT_WRITABLE: 1,
  LOCKS_UNSUPPORTED: 1,
  PLATFORM_UNSUPPORTED: 1,
  PORT_IN_USE: 1,
  RELEASE_COMMAND_FAILED: 1,
  SQLITE_TOO_OLD: 1,

  LEASE_LOST: 1,
  LEASE_RECORD_INVALID: 1,
  LEASE_UNREACHABLE: 1,
  NO_CANDIDATE: 1,

  APP_MISMATCH: 1,
  NODE_UNREACHABLE: 1,
  NOT_PRIMARY: 1,
  PRIMARY_UNREACHABLE: 1,
  PROTOCOL_INVALID: 1,
  PROTOCOL_MISMATCH: 1,
  SECRET_WRONG: 1,

  BUS_OVERLOADED: 1,
  CALL_NOT_SERVED: 1,
  CALL_OUTCOME_UNKNOWN: 1,
  PAYLOAD_TOO_LARGE: 1,

  DATABASE_BUSY: 1,
  DATABASE_ENCRYPTED: 1,
  DATABASE_NOT_FOUND: 1,
  DATABASE_NOT_SQLITE: 1,
  DISK_FULL: 1,
  IMPORT_INVALID: 1,
  LOG_CORRUPT: 1,
  LOST_NOT_FOUND: 1,
  LTX_INVALID: 1,
  POSITION_MISMATCH: 1,
  WAIT_TIMEOUT: 1,
  WAL_CORRUPT: 1,
  WAL_GAP: 1,
} as const;

export type ErrorCode = keyof typeof exitCodes;

/** An expected failure. The message says what happened and what to do about it, in one or two sentences. */
export class SkeinError extends Error {
  override readonly name = 'SkeinError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** The message of anything thrown, for a log line or for the end of another message. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a Node.js system error (`ENOSPC`, `EADDRINUSE`, …), else undefined. */
export function systemCodeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
