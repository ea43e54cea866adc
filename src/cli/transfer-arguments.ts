import { SkeinError } from '../base/errors.ts';
import type { Flags } from '../config/flags.ts';

/** The database that --name names. Throws USAGE. */
export function databaseName({ values }: Flags, verb: string): string {
  const name = values.get('name');
  if (name !== undefined && name !== '') return name;
  throw new SkeinError('USAGE', `Which database? skein ${verb} --name DATABASE FILE`);
}

/** The one positional argument: a path, or `-`. Throws USAGE. */
export function fileArgument({ positionals, command }: Flags, verb: string): string {
  const [file, extra] = [...positionals, ...(command ?? [])];
  if (file === undefined || file === '') {
    throw new SkeinError('USAGE', `Which file? skein ${verb} --name DATABASE FILE, or - for a pipe.`);
  }
  if (extra !== undefined)
    throw new SkeinError('USAGE', `Unexpected argument "${extra}". One file goes at a time.`);
  return file;
}
