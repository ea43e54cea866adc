import type { ErrorParts } from './bus-frames.ts';
import { SkeinClientError } from './client-error.ts';

/** An expected failure of the bus. `docs/errors.md` explains the codes. */
export class BusError extends SkeinClientError {
  /** Of a call whose function ran, but for which what was promised beyond that did not come true in time. */
  readonly result?: unknown;

  constructor(code: string, message: string, options?: { cause?: unknown; result?: unknown }) {
    super(code, message, options);
    if (options && 'result' in options) this.result = options.result;
  }
}

/** What crosses the bus of anything thrown. */
export function errorParts(error: unknown): ErrorParts {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error).slice(0, 10_000) };
  const { name, message } = error;
  const code: unknown = 'code' in error ? error.code : undefined;
  const parts = { name: String(name).slice(0, 200), message: String(message).slice(0, 10_000) };
  return typeof code === 'string' ? { ...parts, code: code.slice(0, 200) } : parts;
}

/** The error as the caller gets it, with the caller's own stack. */
export function errorFrom({ name, message, code }: ErrorParts, result: { result?: unknown } = {}): Error {
  // The node's own, and those of another process.
  if (name === 'SkeinError' || name === 'SkeinClientError')
    return new BusError(code ?? 'INTERNAL', message, result);
  const error = new Error(message);
  error.name = name;
  return code === undefined ? error : Object.assign(error, { code });
}
