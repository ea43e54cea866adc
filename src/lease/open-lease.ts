import { assert } from '../base/assert.ts';
import type { Config } from '../config/config.ts';
import type { Lease } from './lease.ts';
import { StaticLease } from './static-lease.ts';

/** A hold that needs no renewal: the longest time that a timer takes. */
const fixedTtlMs = 2 ** 31 - 1;

/** The lease that the configuration asks for. Nothing is connected to yet; a client is loaded only where it is used. */
export async function openLease(config: Config): Promise<Lease> {
  const { type, path, url, key, ttlMs } = config.lease;
  if (type === 'static') return openStaticLease(config);
  if (type === 'file') {
    assert(path !== undefined, 'a file lease has a path');
    const { FileLease } = await import('./file-lease.ts');
    return new FileLease({ directory: path, ttlMs });
  }
  assert(url !== undefined, 'a lease in a store has a URL');
  if (type === 'etcd') {
    const { EtcdLease } = await import('./etcd-lease.ts');
    return new EtcdLease({ url, key, ttlMs });
  }
  if (type === 'redis') {
    const { RedisLease } = await import('./redis-lease.ts');
    return new RedisLease({ url, key, ttlMs });
  }
  const { ConsulLease } = await import('./consul-lease.ts');
  return new ConsulLease({ url, key, ttlMs });
}

function openStaticLease({ lease, node }: Config): Lease {
  const { name, region, advertise } = node;
  const isPrimary = lease.primary === undefined || lease.primary === advertise;
  const primary = isPrimary
    ? { node: name, region, url: advertise }
    : { node: '', region: '', url: lease.primary ?? '' };
  return new StaticLease({ isPrimary, primary, ttlMs: fixedTtlMs });
}
