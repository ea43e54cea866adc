import assert from 'node:assert/strict';
import { pause } from '../support/pause.ts';
import { waitFor } from '../support/wait-for.ts';
import type { FaultNode } from './fault-node.ts';
import type { World } from './world.ts';

/**
 * Three nodes, of which the one that leads is cut off, writes as many rows that nobody else has, and stands still until
 * another leads. Throws where a session that has written there finds something else at the old one.
 */
export async function missesNothing(
  world: World,
  rows: number,
  writeOwn: (node: FaultNode, value: string) => Promise<void>,
): Promise<void> {
  await Promise.all(world.nodes.map(({ node }) => node.start()));
  const old = await world.settled();
  const others = world.nodes.filter((node) => node !== old);
  const [other] = others as [FaultNode];
  await confirmedWrite(old, 'before');
  for (const one of others) {
    world.link(old).cut(one.name, 'both');
    world.link(one).cut(old.name, 'both');
  }
  for (let row = 0; row < rows; row += 1) await writeOwn(old, `own ${row}`);
  const pid = (await old.status())?.pid ?? 0;
  await pause(pid);
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
}

async function confirmedWrite(node: FaultNode, name: string) {
  let count = 0;
  return waitFor('a write to be confirmed', async () => {
    count += 1;
    const value = `${name} ${count}`;
    const { body, cookie, durability } = (await node.writeByDoor(value)) ?? {};
    return durability === 'replica' && body && { value, id: body.id, cookie: cookie ?? '' };
  });
}
