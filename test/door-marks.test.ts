import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { LoneDoor } from './support/lone-door.ts';

const post = 'POST /pay HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi';

for (const hasNoDoor of [false, true])
  test(`an app ${hasNoDoor ? 'without a door ' : ''}cannot have a POST sent once more`, async (t) => {
    const far = await LoneDoor.start(t, { hasNoDoor });
    const near = await LoneDoor.start(t);
    near.follow(far);
    const client = await near.client();
    client.send(post);
    const app = await far.app.peer(0);
    await app.take('\r\n\r\nhi');
    app.send('HTTP/1.1 503 No\r\nskein-again: 1\r\nContent-Length: 4\r\n\r\ndone');
    const answer = await client.take('done');
    assert.match(answer, /^HTTP\/1\.1 503 No\r\n/);
    assert.doesNotMatch(answer, /skein-again/i);
    await delay(300);
    assert.deepEqual([far.app.peers.length, app.received], [1, ''], 'it was run once');
  });

test('what a door gives back because its node stops is held, and sent to the next primary', async (t) => {
  const far = await LoneDoor.start(t);
  const near = await LoneDoor.start(t);
  near.follow(far);
  const draining = far.door.drain();
  const client = await near.client();
  client.send(post);
  await draining;
  await delay(200);
  assert.equal(client.received, '');
  near.canWrite = true;
  const app = await near.app.peer(0);
  await app.take('\r\n\r\nhi');
  app.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone');
  await client.take('done');
  assert.equal(far.app.peers.length, 0);
});
