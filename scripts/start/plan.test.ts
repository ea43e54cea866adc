import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { planLines, planNodes } from './plan.ts';

const directory = join(tmpdir(), 'demo');

test('every node has ports of its own, and a taken one is passed over and named', async () => {
  const first = await planNodes(directory);
  const wanted = first.nodes[1]?.appPort ?? 0;
  const server = createServer().listen(wanted, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { nodes, notes } = await planNodes(directory);
    const ports = nodes.flatMap(({ apiPort, appPort, innerPort }) => [apiPort, appPort, innerPort]);
    assert.equal(new Set(ports).size, 9);
    assert.ok(!ports.includes(wanted));
    assert.ok(notes.some((note) => note.includes('the door of ord uses')));
  } finally {
    server.close();
  }
});

test('what is printed names every address, every directory and how to read a replica', async () => {
  const { nodes } = await planNodes(directory);
  const text = planLines(nodes).join('\n');
  for (const { appUrl, apiUrl, dataDirectory } of nodes) {
    for (const part of [appUrl, apiUrl, dataDirectory]) assert.ok(text.includes(part), part);
  }
  assert.match(text, /sqlite3 \S+ord\/data\/cities\.db/);
  const later = planLines(nodes, 'ord').join('\n');
  assert.ok(later.includes(`POST ${nodes[0]?.appUrl}/places`), 'where it does not lead');
  assert.match(later, /sqlite3 \S+ams\/data\/cities\.db/);
});
