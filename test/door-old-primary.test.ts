import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FaultNode } from './faults/fault-node.ts';
import { World } from './faults/world.ts';
import { waitFor } from './support/wait-for.ts';
import { skipWithout } from './tools.ts';

const skip = skipWithout('python3') || skipWithout('sqlite3');

async function confirmedWrite(node: FaultNode, name: string) {
  let count = 0;
  return waitFor('a write to be confirmed', async () => {
    count += 1;
    const value = `${name} ${count}`;
    const { body, cookie, durability } = (await node.writeByDoor(value)) ?? {};
    return durability === 'replica' && body && { value, id: body.id, cookie: cookie ?? '' };
  });
}

/** Of what a primary has that nobody else has, when it is cut off and stands still until another leads. */
for (const rows of [0, 30]) {
  test(`nobody misses a confirmed write behind the door of an old primary that has ${rows} rows of its own`, {
    skip,
  }, async (t) => {
    const world = await World.open(t, {
      lease: 'file',
      count: 3,
      environment: { SKEIN_HTTP_READ_WAIT: '1s' },
    });
    await Promise.all(world.nodes.map(({ node }) => node.start()));
    const old = await world.settled();
    const others = world.nodes.filter((node) => node !== old);
    const [other] = others as [FaultNode];
    await confirmedWrite(old, 'before');
    for (const one of others) {
      world.link(old).cut(one.name, 'both');
      world.link(one).cut(old.name, 'both');
    }
    for (let row = 0; row < rows; row += 1) assert.ok(await old.write(`own ${row}`));
    const pid = (await old.status())?.pid ?? 0;
    process.kill(pid, 'SIGSTOP');
    old.isAway = true;
    await waitFor('another to lead', async () => (await world.primary()) !== undefined);
    const { value, id, cookie } = await confirmedWrite(other, 'after');
    // What is in its socket comes before all that it could hear of the others.
    const asked = [1, 2, 3].map(() => old.readByDoor([id], cookie));
    process.kill(pid, 'SIGCONT');
    for (const read of [...(await Promise.all(asked)), await old.readByDoor([id], cookie)])
      if (read?.body) assert.deepEqual(read.body.known, [value]);
    for (const one of others) {
      world.link(old).heal(one.name);
      world.link(one).heal(old.name);
    }
    const read = await waitFor('the old primary to follow', async () => {
      const answer = await old.readByDoor([id], cookie);
      return answer?.body && answer;
    });
    assert.deepEqual([read.body?.known, read.cookie], [[value], undefined]);
  });
}
