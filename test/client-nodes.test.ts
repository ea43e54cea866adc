import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LocalNode } from '../src/client/local-node.ts';
import { linked } from './support/bus-cluster.ts';
import { TestCandidates } from './support/test-candidates.ts';
import type { TestNode } from './support/test-node.ts';
import { waitFor } from './support/wait-for.ts';

function libraryOn(node: TestNode): LocalNode {
  const { name, url } = node;
  return new LocalNode({
    directory: node.path(''),
    api: new URL(url),
    token: undefined,
    node: name,
    region: name,
  });
}

test('an app on any node is told of all nodes, their regions and who may lead, and of the primary the same', async (t) => {
  const own = (region: string, candidate = true) => ({
    environment: { SKEIN_NODE_REGION: region, SKEIN_NODE_CANDIDATE: String(candidate) },
  });
  const nodes = { ams: own('europe'), ord: own('america'), syd: own('asia', false) };
  const candidates = await TestCandidates.start(t, { nodes });
  const leader = await candidates.leader();
  await linked(candidates.nodes);
  const placeOf = ({ name: node, url }: TestNode) => ({
    node,
    region: nodes[node as keyof typeof nodes].environment.SKEIN_NODE_REGION,
    url,
  });
  for (const node of candidates.nodes) {
    const library = libraryOn(node);
    assert.deepEqual(await library.primary(), placeOf(leader), node.name);
    const expected = candidates.nodes.map((one) => ({
      ...placeOf(one),
      role: one === leader ? 'primary' : 'replica',
      isSelf: one === node,
      candidate: one.name !== 'syd',
    }));
    assert.deepEqual(await library.nodes(), expected, node.name);
  }
  const [gone] = candidates.others(leader, candidates.node('syd'));
  await gone.kill();
  const left = candidates.others(gone);
  for (const node of left) {
    const names = async () => (await libraryOn(node).nodes()).map((one) => one.node);
    await waitFor('one that is gone to go', async () => !(await names()).includes(gone.name));
    assert.deepEqual(
      await names(),
      left.map(({ name }) => name),
    );
  }
});
