import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { Config } from './config.ts';
import { loadConfig } from './load-config.ts';

let cwd = '';

beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'skein-config-'));
});

afterEach(() => rmSync(cwd, { recursive: true }));

function load(text: string, env: NodeJS.ProcessEnv = {}, argv: readonly string[] = []): Config['http'] {
  writeFileSync(join(cwd, 'skein.toml'), text);
  return loadConfig({ argv, env, cwd }).http;
}

test('every key of [http] is read', () => {
  const text = `[http]
listen = ":8080"
forward = "fly-replay"
database = "app.db"
primary_wait = "1s"
read_wait = "2s"
durability = 2
durability_wait = "3s"
always_forward = ["/admin/*", "/jobs"]
passthrough = ["/assets/*"]
trust_forwarded = "all"
replay_body_max = "2MiB"
head_max = "16KiB"
head_timeout = "4s"
idle_timeout = "5s"
progress_timeout = "6s"
drain_timeout = "7s"
max_lag = "0s"
connections_max = 500
app_connections_max = 200
`;
  assert.deepEqual(load(text), {
    listen: { host: '::', port: 8080 },
    forward: 'fly-replay',
    database: 'app.db',
    primaryWaitMs: 1_000,
    readWaitMs: 2_000,
    durability: 2,
    durabilityWaitMs: 3_000,
    alwaysForward: ['/admin/*', '/jobs'],
    passthrough: ['/assets/*'],
    trustForwarded: 'all',
    replayBodyMax: 2 << 20,
    headMax: 16_384,
    headTimeoutMs: 4_000,
    idleTimeoutMs: 5_000,
    progressTimeoutMs: 6_000,
    drainTimeoutMs: 7_000,
    maxLagMs: 0,
    connectionsMax: 500,
    appConnectionsMax: 200,
  });
});

test('a list is an array in a file, and has commas in a variable and a flag', () => {
  assert.deepEqual(load('', { SKEIN_HTTP_PASSTHROUGH: '/a/*, /b' }).passthrough, ['/a/*', '/b']);
  assert.deepEqual(load('', {}, ['--http-passthrough', '/c']).passthrough, ['/c']);
  assert.deepEqual(load('[http]\npassthrough = "/d,/e"').passthrough, ['/d', '/e']);
});

test('durability is a word or a number, also in a variable', () => {
  assert.equal(load('[http]\ndurability = "replica"').durability, 'replica');
  assert.equal(load('', { SKEIN_HTTP_DURABILITY: '3' }).durability, 3);
  assert.throws(() => load('[http]\ndurability = 0'), { code: 'CONFIG_INVALID' });
  assert.throws(() => load('[http]\ndurability = "all"'), { code: 'CONFIG_INVALID' });
});

test('a write is held for longer than it takes to lose a primary, unless it is said otherwise', () => {
  assert.equal(load('').primaryWaitMs, 20_000);
  assert.equal(load('[lease]\ntype = "file"\npath = "lease"\nttl = "30s"').primaryWaitMs, 60_000);
  assert.equal(load('[lease]\ntype = "file"\npath = "lease"\nttl = "1s"').primaryWaitMs, 5_000);
  assert.equal(load('[http]\nprimary_wait = "0s"').primaryWaitMs, 0);
});

test('a list of anything but paths is refused', () => {
  assert.throws(
    () => load('[http]\npassthrough = [1]'),
    /skein\.toml:2: http\.passthrough is an array; allowed: a list/,
  );
  assert.throws(() => load('[http]\npassthrough = ["/a b"]'), { code: 'CONFIG_INVALID' });
});
