import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { messageOf } from '../base/errors.ts';
import { hiddenDirectoryOf } from '../database/hidden-directory.ts';
import { listLost } from '../database/lost-entries.ts';
import { LineageFile } from '../lease/lineage-file.ts';
import { type Finding, note, ok, warning } from './finding.ts';

const check = 'data';

/** Whether a node could work with the directory of the databases, what it remembers there and what it keeps. Changes nothing. */
export function checkData(directory: string): Finding[] {
  const found = statSync(directory, { throwIfNoEntry: false });
  if (found === undefined) {
    const above = nearestExisting(directory);
    return isWritable(above)
      ? [note(check, `${directory} is not there yet; the first start makes it`)]
      : [notWritable(directory, `${above} may not be written to`)];
  }
  if (!found.isDirectory()) return [notWritable(directory, 'it is no directory')];
  if (!isWritable(directory)) return [notWritable(directory, 'this user may not write to it')];
  const hidden = hiddenDirectoryOf(directory);
  try {
    const { epoch, role } = new LineageFile(`${hidden}/lineage`).lineage;
    const past =
      role === undefined
        ? 'no node has led or followed here'
        : `last ${role}, of the chain of epoch ${epoch}`;
    return [ok(check, `${directory} is writable; ${past}`), ...keptStates(hidden)];
  } catch (error) {
    return [notWritable(directory, messageOf(error))];
  }
}

function keptStates(hidden: string): Finding[] {
  const { length } = listLost(hidden);
  if (length === 0) return [];
  const what =
    length === 1
      ? 'a state is kept that the primary did not have'
      : `${length} states are kept that the primary did not have`;
  return [
    note('lost', what, '`skein lost list` shows them. Remove their directories once they are looked at.'),
  ];
}

function notWritable(directory: string, why: string): Finding {
  const advice = 'Give the user that runs Skein the right to write there, or correct [database] dir.';
  return warning(check, `${directory} cannot be used: ${why}`, advice);
}

function nearestExisting(path: string): string {
  const above = dirname(path);
  return existsSync(above) || above === path ? above : nearestExisting(above);
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
