import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { buildClient } from '../scripts/build-client/build.ts';
import { ClientCluster, sessionOf } from './support/client-cluster.ts';
import { skipWithout } from './tools.ts';

const root = resolve(import.meta.dirname, '..');
const oldestMajor = 20;

/** A Node.js of this machine that is as old as the library supports; else the one that runs this. */
function oldNode(): string {
  const candidates = (process.env.PATH ?? '').split(':').map((directory) => join(directory, 'node'));
  const isOld = (path: string) =>
    existsSync(path) &&
    Number(/^v(\d+)/.exec(spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout)?.[1]) === oldestMajor;
  return candidates.find(isOld) ?? process.execPath;
}

test('the compiled form works in an app on the oldest Node.js that there is here', {
  skip: skipWithout('sqlite3'),
}, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'skein-compiled-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  await buildClient(join(directory, 'node_modules/skein'));
  copyFileSync(join(import.meta.dirname, 'client-apps/program-app.js'), join(directory, 'app.mjs'));
  const program = oldNode();
  const cluster = await ClientCluster.start(t, join(directory, 'app.mjs'), { command: `'${program}'` });
  const { leader, replica } = cluster;

  const about = await Promise.all(
    [leader, replica].map(async (node) => (await cluster.ask(node, '/about')).json),
  );
  t.diagnostic(`the app runs on Node.js ${about[0]?.version}`);
  assert.deepEqual(
    about.map(({ isPrimary }) => isPrimary),
    [true, false],
  );
  assert.deepEqual(
    about.map(({ primary }) => primary),
    [leader.name, leader.name],
  );
  assert.match(String(about[1]?.seen), /^init/);

  const written = await cluster.post(replica, '/notes', {});
  assert.deepEqual([written.status, written.json], [200, { id: 1 }], written.body.toString());
  const read = await cluster.ask(replica, '/notes', { headers: { cookie: sessionOf(written) ?? '' } });
  assert.deepEqual(read.json, { count: 1, node: replica.name });

  const { position } = (await cluster.ask(leader, '/durable')).json;
  for (const form of [position, (await cluster.ask(leader, '/about')).json.position]) {
    const path = `/wait?position=${encodeURIComponent(String(form))}`;
    assert.equal((await cluster.ask(replica, path)).status, 200, String(form));
  }
  const refused = await cluster.ask(replica, '/wait?position=0000000000ffffff');
  assert.equal(refused.json.code, 'WAIT_TIMEOUT');
  assert.equal((await cluster.ask(replica, '/wait?position=nonsense')).json.code, 'POSITION_INVALID');
});

test('the compiled form can be required, preloaded, and type-checked against', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'skein-compiled-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  await buildClient(join(directory, 'node_modules/skein'));
  writeFileSync(join(directory, 'app.cjs'), "console.log(require('skein/client').isPrimary())");
  const run = (...args: string[]) =>
    execFileSync(oldNode(), args, {
      cwd: directory,
      encoding: 'utf8',
      env: { PATH: process.env.PATH },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  assert.equal(run('app.cjs'), 'true\n', 'a process that no node runs is its own primary');
  assert.equal(run('--import', 'skein/register', 'app.cjs'), 'true\n');

  writeFileSync(
    join(directory, 'app.mts'),
    `import { durable, events, express, fastify, guard, hono, isPrimary, primary, waitFor } from 'skein/client';
const handler = express({ durability: 'replica', forward: 'fly-replay' });
const all: unknown[] = [handler, fastify, guard, hono, primary, waitFor, durable];
for await (const event of events()) if (event.type === 'tx') console.log(event.db, isPrimary(), all);
// @ts-expect-error: there is no such level
express({ durability: 'all' });\n`,
  );
  mkdirSync(join(directory, 'node_modules/@types'), { recursive: true });
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const types = ['--typeRoots', join(root, 'node_modules/@types'), '--types', 'node'];
  const strict = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2022', ...types];
  const { stdout, status } = spawnSync(process.execPath, [compiler, ...strict, 'app.mts'], {
    cwd: directory,
    encoding: 'utf8',
  });
  assert.equal(status, 0, stdout);
});
