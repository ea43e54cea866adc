import type { TestContext } from 'node:test';
import { ConnectionPool, type ConnectionPoolParts } from '../../src/door/connection-pool.ts';
import { Door, type DoorOptions } from '../../src/door/door.ts';
import type { ConnectionLimits } from '../../src/door/door-shared.ts';
import { openApp } from '../../src/door/node-pools.ts';
import { freePorts } from './free-ports.ts';
import { RawApp } from './raw-app.ts';
import { RawPeer } from './raw-peer.ts';

export const limits: ConnectionLimits = {
  headBytesMax: 8_192,
  headMs: 5_000,
  idleMs: 5_000,
  progressMs: 5_000,
  appRetryMs: 300,
  retryMs: 300,
};

/** A door without a node: every request goes to the app. */
export class BareDoor {
  readonly door: Door;
  readonly pool: ConnectionPool;
  readonly app: RawApp;
  readonly port: number;

  private constructor(door: Door, pool: ConnectionPool, app: RawApp, port: number) {
    this.door = door;
    this.pool = pool;
    this.app = app;
    this.port = port;
  }

  static async start(
    t: TestContext,
    options: { limits?: Partial<ConnectionLimits> } & Partial<Pick<DoorOptions, 'trust' | 'replayBytesMax'>> &
      Partial<Pick<ConnectionPoolParts, 'connectionsMax' | 'waitMs'>> = {},
  ): Promise<BareDoor> {
    const app = await RawApp.start(t);
    const [port] = await freePorts(1);
    const pool = new ConnectionPool({
      open: () => openApp(app.port),
      headBytesMax: limits.headBytesMax,
      connectionsMax: options.connectionsMax ?? 100,
      waitMs: options.waitMs ?? 5_000,
      idleMs: 4_000,
      nowMs: () => door.nowMs(),
    });
    const door = new Door({
      listen: { host: '127.0.0.1', port },
      router: { route: () => ({ kind: 'forward', pool, lines: '', isToNode: false, send: () => ({}) }) },
      connectionsMax: 100,
      replayBytesMax: options.replayBytesMax ?? 1_000,
      trust: options.trust ?? 'none',
      limits: { ...limits, ...options.limits },
      swept: (nowMs) => pool.sweep(nowMs),
    });
    await door.listen();
    t.after(() => {
      door.stop();
      pool.destroy();
    });
    return new BareDoor(door, pool, app, port);
  }

  client(): Promise<RawPeer> {
    return RawPeer.connect(this.port);
  }
}
