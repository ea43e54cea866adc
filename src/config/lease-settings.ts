import { dirname, resolve } from 'node:path';
import { SkeinError } from '../base/errors.ts';
import type { Config } from './config.ts';
import { formatDuration } from './duration.ts';
import { dottedOf, keys } from './schema.ts';
import { type Given, nameOf, readKey, waysToGive } from './setting.ts';

type LeaseConfig = Config['lease'];
type LeaseKey = 'leasePrimary' | 'leasePath' | 'leaseUrl';

/** Which key each type needs; of the others, none may be given. `static` can do without. */
const keyOfType: Readonly<Record<LeaseConfig['type'], LeaseKey>> = {
  static: 'leasePrimary',
  file: 'leasePath',
  etcd: 'leaseUrl',
  redis: 'leaseUrl',
  consul: 'leaseUrl',
};
/** What a store takes at least. */
const ttlMinMs: Partial<Record<LeaseConfig['type'], number>> = { etcd: 2_000, consul: 10_000 };

/** `[lease]`, checked as a whole. `directory` is what a path is relative to. */
export function readLease(
  givens: ReadonlyMap<string, Given>,
  app: string,
  around: { file: string | undefined; cwd: string },
): LeaseConfig {
  const type = readKey(keys.leaseType, givens) ?? 'static';
  for (const key of ['leasePrimary', 'leasePath', 'leaseUrl'] as const) {
    const given = givens.get(dottedOf(keys[key].path));
    if (given === undefined || key === keyOfType[type]) continue;
    const needed = dottedOf(keys[keyOfType[type]].path);
    throw new SkeinError(
      'CONFIG_INVALID',
      `${nameOf(given)} has no meaning with lease.type "${type}", which takes ${needed}. Remove it, or change the type.`,
    );
  }
  const path = givens.get(dottedOf(keys.leasePath.path));
  const base = path?.source.kind === 'file' && around.file !== undefined ? dirname(around.file) : around.cwd;
  const pathText = readKey(keys.leasePath, givens);
  const url = readKey(keys.leaseUrl, givens);
  const ttlMs = readKey(keys.leaseTtl, givens) ?? 10_000;
  if (type !== 'static' && pathText === undefined && url === undefined) {
    const missing = keys[keyOfType[type]].path;
    throw new SkeinError(
      'CONFIG_INVALID',
      `lease.type is "${type}", and there is no ${dottedOf(missing)}. Give it (${waysToGive(missing)}).`,
    );
  }
  const leastMs = ttlMinMs[type] ?? 0;
  if (ttlMs < leastMs) {
    throw new SkeinError(
      'CONFIG_INVALID',
      `lease.ttl is ${formatDuration(ttlMs)}; with lease.type "${type}" it is ${formatDuration(leastMs)} at least. Raise it (${waysToGive(keys.leaseTtl.path)}).`,
    );
  }
  return {
    type,
    primary: readKey(keys.leasePrimary, givens),
    path: pathText === undefined ? undefined : resolve(base, pathText),
    url,
    key: readKey(keys.leaseKey, givens) ?? `skein/${app}`,
    ttlMs,
  };
}
