import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { checksum, checksumFlag, formatPosition, type Position, txid } from '../ltx/position.ts';
import { Durability } from './durability.ts';

function at(n: number): Position {
  return { txid: txid(n), checksum: checksum(checksumFlag | BigInt(n)) };
}

type TestReplica = {
  node: string;
  candidate: boolean;
  acknowledged: Map<string, Position>;
  chainEpoch: number;
};

/** A primary with one database, whose replicas and lease store the test moves. */
class World {
  position = at(10);
  replicas: TestReplica[] = [];
  isValid = true;
  writes = 0;
  readonly durability: Durability;

  constructor(standby = 'one') {
    this.durability = new Durability({
      node: 'one',
      epoch: 4,
      inherited: { standby, safe: { epoch: 3, positions: { 'a.db': formatPosition(at(10)) } } },
      replicas: () => this.replicas,
      databases: () => [{ name: 'a.db', position: this.position }],
      isValid: () => this.isValid,
      write: () => {
        this.writes += 1;
      },
    });
  }

  connect(node: string, n: number, candidate = true): TestReplica {
    const replica = { node, candidate, acknowledged: new Map([['a.db', at(n)]]), chainEpoch: 4 };
    this.replicas.push(replica);
    return replica;
  }

  /** The record is in the store. */
  write(): void {
    this.durability.written(this.durability.record);
  }

  isDurable(n: number): boolean {
    return this.durability.isDurable('a.db', at(n));
  }
}

test('a primary that is alone calls nothing durable, and becomes no longer alone by a candidate in step', () => {
  const world = new World();
  assert.equal(world.durability.record.standby, 'one');
  assert.equal(world.isDurable(1), false);
  const two = world.connect('two', 9);
  world.durability.check();
  world.durability.check();
  assert.equal(world.durability.record.standby, 'one', 'it lacks what the app may have been told');
  two.acknowledged.set('a.db', at(10));
  world.durability.check();
  assert.equal(world.durability.record.standby, 'two');
  assert.equal(world.isDurable(10), false, 'not before the name is in the store');
  world.write();
  assert.equal(world.isDurable(10), true);
  assert.equal(world.isDurable(11), false);
});

test('a replica that is no candidate is no standby', () => {
  const world = new World();
  world.connect('far', 10, false);
  for (let look = 0; look < 3; look += 1) world.durability.check();
  assert.equal(world.durability.record.standby, 'one');
});

test('nothing is durable once the lease may have ended', () => {
  const world = new World('two');
  world.connect('two', 10);
  assert.equal(world.isDurable(10), true);
  world.isValid = false;
  assert.equal(world.isDurable(10), false);
});

test('a standby that went makes way for one that has all that was called durable, and for no other', () => {
  const world = new World('two');
  const two = world.connect('two', 10);
  world.position = at(20);
  two.acknowledged.set('a.db', at(18));
  assert.equal(world.isDurable(18), true);
  const three = { node: 'three', candidate: true, acknowledged: new Map([['a.db', at(17)]]), chainEpoch: 4 };
  world.replicas = [three];
  world.durability.check();
  assert.equal(world.durability.record.standby, 'two');
  three.acknowledged.set('a.db', at(18));
  world.durability.check();
  assert.equal(world.durability.record.standby, 'three');
  assert.equal(world.isDurable(18), false, 'frozen while nobody can tell whom the record names');
  world.write();
  assert.equal(world.isDurable(18), true);
  assert.equal(world.durability.record.safe.positions['a.db'].slice(0, 16), '0000000000000012');
});

test('a standby that is gone for long leaves the primary alone, with all that it has as safe', (t: TestContext) => {
  let nowMs = 0;
  t.mock.method(performance, 'now', () => nowMs);
  const late = new World('two');
  late.connect('two', 10);
  late.durability.check();
  late.replicas = [];
  nowMs = 4_900;
  late.durability.check();
  assert.equal(late.durability.record.standby, 'two');
  nowMs = 5_100;
  late.durability.check();
  assert.equal(late.durability.record.standby, 'one');
  assert.equal(late.durability.record.safe.positions['a.db'].slice(0, 16), '000000000000000a');
});

test('a candidate that has not noted the epoch yet could not lead, and is no standby', () => {
  const world = new World();
  const two = world.connect('two', 10);
  two.chainEpoch = 3;
  for (let look = 0; look < 3; look += 1) world.durability.check();
  assert.equal(world.durability.record.standby, 'one');
  two.chainEpoch = 4;
  world.durability.check();
  assert.equal(world.durability.record.standby, 'two');
});

test('a database that was deleted leaves nothing that its successor could be taken for', () => {
  const world = new World('two');
  const two = world.connect('two', 10);
  assert.equal(world.isDurable(10), true);
  two.acknowledged.delete('a.db');
  world.durability.forget('a.db');
  assert.equal(world.isDurable(10), false);
});

test('a database that is made anew under its name begins from nothing', () => {
  const world = new World('two');
  const two = world.connect('two', 10);
  assert.equal(world.isDurable(10), true);
  world.position = at(3);
  two.acknowledged.set('a.db', at(2));
  assert.equal(world.isDurable(3), false);
  assert.equal(world.isDurable(2), true);
});

test('what was handed over is durable whatever becomes of the lease', () => {
  const world = new World();
  world.isValid = false;
  world.durability.handedOver(new Map([['a.db', at(9)]]));
  assert.equal(world.isDurable(9), true);
  assert.equal(world.isDurable(10), false);
});

test('a standby that a handoff named counts from when it has noted the epoch, and could prove what it has', () => {
  const world = new World('two');
  const two = world.connect('two', 10);
  two.chainEpoch = 3;
  assert.equal(world.isDurable(10), false);
  assert.equal(world.durability.record.safe.epoch, 3, 'of which it can prove that it has it');
  two.chainEpoch = 4;
  assert.equal(world.isDurable(10), true);
  assert.equal(world.durability.record.safe.epoch, 4);
});

test('a database that was deleted is no part of what a handoff named safe', () => {
  const world = new World('two');
  world.durability.forget('a.db');
  assert.deepEqual(world.durability.record.safe.positions, {});
});
