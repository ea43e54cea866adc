import type { Config } from '../config/config.ts';
import type { ApiRoute } from './api-server.ts';
import { HaltLockRoute } from './halt-lock-route.ts';
import { HaltLocks, type HaltLocksParts } from './halt-locks.ts';
import { HaltRoutes } from './halt-routes.ts';
import type { LeadershipRoutes } from './leadership-routes.ts';
import { liteFsClusterIdOf, liteFsIdOf } from './litefs-identity.ts';
import { isLiteFsRequest, LiteFsRoutes } from './litefs-routes.ts';
import type { Notice } from './node-log.ts';
import type { PrimaryReplication } from './primary-replication.ts';
import type { Promotion } from './promotion.ts';
import type { ReplicaReplication } from './replica-replication.ts';
import type { Roles } from './roles.ts';

export type LiteFsApiParts = {
  readonly config: Config;
  /** Throws `DATABASE_BUSY` while the node starts; so do the others. */
  readonly roles: () => Roles;
  readonly replication: () => PrimaryReplication | ReplicaReplication;
  readonly writable: HaltLocksParts['database'];
  readonly hidden: () => string;
  readonly promotion: Promotion;
  readonly leading: LeadershipRoutes;
  readonly warn: Notice;
};

/** What a node answers as LiteFS does, and halt locks. Two of the paths are Skein's too: the request tells which is meant. */
export class LiteFsApi {
  readonly #parts: LiteFsApiParts;
  readonly #locks: HaltLocks;
  readonly #haltLock: HaltLockRoute;

  constructor(parts: LiteFsApiParts) {
    const { config, roles, replication, writable, hidden, warn } = parts;
    this.#parts = parts;
    const mayWrite = () => roles().mayWrite;
    this.#locks = new HaltLocks({ database: writable, mayWrite, hidden, warn });
    this.#haltLock = new HaltLockRoute({ config, replication, warn });
  }

  /** For every answer of the node. */
  get headers(): Readonly<Record<string, string>> {
    const { app, node } = this.#parts.config;
    return { 'Litefs-Id': liteFsIdOf(app, node.name), 'Litefs-Cluster-Id': liteFsClusterIdOf(app) };
  }

  routes(): readonly (readonly [string, ApiRoute])[] {
    const { config, roles, promotion, leading } = this.#parts;
    const litefs = new LiteFsRoutes(config, roles, promotion);
    const halting = new HaltRoutes(this.#locks, liteFsIdOf(config.app, config.node.name));
    return [
      ['GET /info', (call) => litefs.info(call)],
      [
        'POST /handoff',
        (call) => {
          this.#locks.requireNone();
          return call.query.has('nodeID') ? litefs.handOff(call) : leading.handOff(call);
        },
      ],
      [
        'POST /promote',
        (call) => (isLiteFsRequest(call.request) ? litefs.promote(call) : leading.promote(call)),
      ],
      ['POST /halt', (call) => halting.halt(call)],
      ['DELETE /halt', (call) => halting.release(call)],
      ['POST /tx', (call) => halting.take(call)],
      ['POST /halt-lock', (call) => this.#haltLock.answer(call)],
    ];
  }

  /** Resolves when no other node writes this one's databases any more, or after a moment. The node answers still. */
  drain(): Promise<void> {
    return this.#locks.drain();
  }

  /** Resolves when no halt lock is held through this node any more, or soon. */
  settled(): Promise<void> {
    return this.#haltLock.settled();
  }
}
