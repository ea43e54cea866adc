import { SkeinError } from '../base/errors.ts';

/** The error for bytes that break a rule of the format. `detail` ends the sentence "… is not valid: ". */
export function ltxInvalid(detail: string, cause?: unknown): SkeinError {
  const message = `The LTX data is not valid: ${detail}. Discard it and fetch it again from its source.`;
  return new SkeinError('LTX_INVALID', message, { cause });
}
