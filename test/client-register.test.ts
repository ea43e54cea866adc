import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClientCluster, sessionOf } from './support/client-cluster.ts';
import { conformsTo } from './support/client-conformance.ts';

conformsTo('plain-app.js', { toml: '[node_js]\nregister = true\n' });

test('handles of better-sqlite3 are guarded too, in CommonJS', async (t) => {
  const cluster = await ClientCluster.start(t, 'better-app.cjs', { toml: '[node_js]\nregister = true\n' });
  for (const [index, node] of cluster.candidates.nodes.entries()) {
    const visit = await cluster.ask(node, '/visit');
    assert.deepEqual([visit.status, visit.json.id], [200, index + 1], visit.body.toString());
    const read = await cluster.ask(node, '/notes', { headers: { cookie: sessionOf(visit) ?? '' } });
    assert.equal(read.json.count, index + 1);
  }
  assert.deepEqual(cluster.texts(cluster.leader), ['x', 'x', 'x']);
});
