import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** Skein's own directory inside the directory of the databases. */
export function hiddenDirectoryOf(dataDirectory: string): string {
  return join(dataDirectory, '.skein');
}

/** Where states lie that another took the place of. */
export function lostDirectoryOf(hiddenDirectory: string): string {
  return join(hiddenDirectory, 'lost');
}

/** The same, and it is there after this. */
export function openLostDirectory(hiddenDirectory: string): string {
  const directory = lostDirectoryOf(hiddenDirectory);
  mkdirSync(directory, { recursive: true });
  return directory;
}
