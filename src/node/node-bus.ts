import { Bus } from '../bus/bus.ts';
import type { Config } from '../config/config.ts';
import type { Leadership } from '../lease/leadership.ts';
import { knownNodes } from './known-nodes.ts';
import { NewDatabases } from './new-databases.ts';
import type { NodeLog } from './node-log.ts';
import type { Roles } from './roles.ts';

export type NodeBusParts = {
  readonly config: Config;
  readonly log: NodeLog;
  roles(): Roles | undefined;
  leadership(): Leadership | undefined;
};

/** The bus of a node, with what it has to know of that. */
export function createNodeBus({ config, log, roles, leadership }: NodeBusParts): Bus {
  const { name, region, advertise, secret, candidate } = config.node;
  const newDatabases = new NewDatabases(config.database.dir);
  const replication = () => roles()?.replication;
  return new Bus({
    app: config.app,
    self: { node: name, region, url: advertise, candidate },
    secret,
    replication,
    mayWrite: () => roles()?.mayWrite === true,
    epoch: () => leadership()?.epoch ?? 0,
    lookForNew: (current) => newDatabases.look(current),
    known: () => knownNodes(replication(), leadership()),
    warn: log.warn,
  });
}
