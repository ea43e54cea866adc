/** Methods that are safe to repeat, as HTTP has it: with another a request is never sent twice. */
export const repeatable: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);
