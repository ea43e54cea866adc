import { SkeinError } from '../base/errors.ts';

export function databaseNotFound(name: string): SkeinError {
  return new SkeinError(
    'DATABASE_NOT_FOUND',
    `There is no database ${JSON.stringify(name)} here. GET /status lists the names; they end in .db.`,
  );
}
