import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { EtcdServer } from '../test/support/etcd-server.ts';
import { RedisServer } from '../test/support/redis-server.ts';
import { isInstalled } from '../test/tools.ts';
import type { LeaseVariables } from './nodes.ts';

/** A lease store of its own, for one cluster. Whoever opened it closes it. */
export type LeaseStore = {
  readonly variables: LeaseVariables;
  close(): Promise<void>;
};

export type LeaseKind = 'file' | 'etcd' | 'redis';

/** Those that this machine can run: etcd and Redis are programs of their own. */
export function availableLeases(): LeaseKind[] {
  return [
    'file',
    ...(isInstalled('etcd-server') ? (['etcd'] as const) : []),
    ...(isInstalled('redis-server') ? (['redis'] as const) : []),
  ];
}

/** `directory` is for the file lease; the servers keep what they have in one of their own. */
export async function openLeaseStore(kind: LeaseKind, directory: string): Promise<LeaseStore> {
  if (kind === 'etcd') {
    const server = await EtcdServer.started();
    return {
      variables: { SKEIN_LEASE_TYPE: 'etcd', SKEIN_LEASE_URL: server.url },
      close: () => server.remove(),
    };
  }
  if (kind === 'redis') {
    const server = await RedisServer.start();
    return {
      variables: { SKEIN_LEASE_TYPE: 'redis', SKEIN_LEASE_URL: server.url },
      close: () => server.close(),
    };
  }
  const path = join(directory, 'lease');
  return {
    variables: { SKEIN_LEASE_TYPE: 'file', SKEIN_LEASE_PATH: path },
    close: async () => rmSync(path, { recursive: true, force: true }),
  };
}
