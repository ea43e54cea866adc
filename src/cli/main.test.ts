import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const skein = fileURLToPath(new URL('../../bin/skein', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'skein-main-'));
after(() => rmSync(directory, { recursive: true }));

const path = process.env.PATH ?? '';

function run(argv: readonly string[], env: NodeJS.ProcessEnv = {}, program = skein) {
  const { stdout, stderr, status } = spawnSync(program, argv, {
    cwd: directory,
    env: { PATH: path, ...env },
    encoding: 'utf8',
    timeout: 20_000,
  });
  return { stdout, stderr, status };
}

test('skein runs through symbolic links, also from a path with spaces', () => {
  const links = join(directory, 'a folder');
  mkdirSync(links);
  symlinkSync(skein, join(links, 'one'));
  symlinkSync('one', join(links, 'skein'));
  const { stdout, stderr, status } = run(['version', '--json'], {}, join(links, 'skein'));
  assert.equal(stderr, '');
  assert.equal(status, 0);
  const versions: Record<string, string> = JSON.parse(stdout);
  assert.deepEqual(Object.keys(versions), ['skein', 'node', 'sqlite']);
  assert.match(versions.sqlite ?? '', /^3\.\d+\.\d+$/);
});

test('skein finds a new enough Node.js where the one of the system is too old or none', () => {
  const old = join(directory, 'old');
  mkdirSync(old);
  writeFileSync(join(old, 'node'), '#!/bin/sh\necho v20.20.2\n', { mode: 0o755 });
  const { stdout, status } = run(['--version'], { PATH: `${old}:/usr/bin:/bin` });
  assert.match(stdout, /^skein \d+\.\d+\.\d+ \(Node\.js (?:2[4-9]|[3-9]\d)\./);
  assert.equal(status, 0);
});

test('without any Node.js that is new enough, one line says what to do', () => {
  const copy = join(directory, 'copy');
  mkdirSync(join(copy, 'bin'), { recursive: true });
  const old = join(directory, 'older');
  mkdirSync(old);
  writeFileSync(join(old, 'node'), '#!/bin/sh\necho v24.14.9\n', { mode: 0o755 });
  const script = spawnSync('cp', [skein, join(copy, 'bin/skein')]);
  assert.equal(script.status, 0);
  const { stderr, status } = run(['version'], { PATH: `${old}:/usr/bin:/bin` }, join(copy, 'bin/skein'));
  assert.equal(
    stderr,
    `skein: needs Node.js 24.15 or newer, and ${old}/node is v24.14.9. Run \`npm ci\` in ${copy}, which brings one, or install it.\n`,
  );
  assert.equal(status, 1);
});

test('without a verb, the help goes to standard error, with exit code 2', () => {
  const { stdout, stderr, status } = run([]);
  assert.equal(stdout, '');
  assert.match(stderr, /^Usage: skein VERB/);
  assert.equal(status, 2);
});

test('a fault in Skein itself is shown with its stack, with exit code 70', () => {
  const preload = 'data:text/javascript,JSON.stringify=()=>{throw%20new%20TypeError(%60broken%60)}';
  const { stderr, status } = run(['version', '--json'], { NODE_OPTIONS: `--import=${preload}` });
  assert.match(stderr, /^skein: this is a fault in Skein, .*\nTypeError: broken\n {4}at .*version\.ts/s);
  assert.equal(status, 70);
});

test('a reader who goes away ends the output without a word', () => {
  const { stderr } = spawnSync('sh', ['-c', '"$0" help run | true', skein], { encoding: 'utf8' });
  assert.equal(stderr, '');
});

test('help lists the verbs, and the flags of each', () => {
  for (const argv of [['help'], ['--help'], ['-h']]) {
    const { stdout, status } = run(argv);
    assert.match(stdout, /^Usage: skein VERB/);
    for (const verb of [
      'run',
      'status',
      'handoff',
      'promote',
      'doctor',
      'export',
      'import',
      'events',
      'config check',
      'version',
      'help',
    ]) {
      assert.ok(stdout.includes(`\n  ${verb} `), verb);
    }
    assert.equal(status, 0);
  }
  assert.match(run(['help', 'config', 'check']).stdout, /^Usage: skein config check/);
  assert.match(run(['run', '--help']).stdout, /--http-service-internal-port/);
  assert.match(run(['export', '-h']).stdout, /^Usage: skein export/);
});

const usageErrors: readonly [readonly string[], string][] = [
  [['stats'], 'There is no verb "stats". The nearest is `skein status`. [USAGE]'],
  [['config'], 'There is no verb "config". The nearest is `skein config check`. [USAGE]'],
  [['config', 'chekc'], 'There is no verb "config chekc". The nearest is `skein config check`. [USAGE]'],
  [['frobnicate'], 'There is no verb "frobnicate". `skein help` lists them. [USAGE]'],
  [['run', '--apq=x'], 'There is no flag --apq. The nearest is --app. [USAGE]'],
  [['run', 'node'], 'Unexpected argument "node". A command goes after --: skein run -- node [USAGE]'],
  [['run', '--'], 'There is no command after --. Add one, or leave out --. [USAGE]'],
  [['export', 'file'], 'Which database? skein export --name DATABASE FILE [USAGE]'],
  [['import', '--name', 'a.db'], 'Which file? skein import --name DATABASE FILE, or - for a pipe. [USAGE]'],
  [['status', 'node-1'], 'Unexpected argument "node-1". A node is named by --url. [USAGE]'],
  [['handoff', 'a', 'b'], 'Unexpected argument "b". One node can lead: skein handoff [NODE] [USAGE]'],
  [['doctor', 'a'], 'Unexpected argument "a". A node is named by --url. [USAGE]'],
  [['status', '--json=yes'], '--json takes no value. Leave out "yes". [USAGE]'],
];

for (const [argv, message] of usageErrors) {
  test(`skein ${argv.join(' ')} is refused with exit code 2 and one line`, () => {
    assert.deepEqual(run(argv), { stdout: '', stderr: `skein: ${message}\n`, status: 2 });
  });
}

test('run without anything to run says where it looked', () => {
  const { stderr, status } = run(['run']);
  const advice = 'Write one, name one by --config, or give a command: skein run -- COMMAND';
  assert.equal(
    stderr,
    `skein: There is no skein.toml or fly.toml in ${directory}. ${advice} [CONFIG_NOT_FOUND]\n`,
  );
  assert.equal(status, 2);
});

test('config check shows each value with where it comes from, and no secret', () => {
  const file = join(directory, 'check.toml');
  writeFileSync(
    file,
    'app = "cities"\n[env]\nA = "1"\nDB_PASSWORD = "p"\nURL = "$TOKEN"\n[processes]\nweb = "x"\n[build]\n',
  );
  const env = { SKEIN_NODE_SECRET: 'very-secret-0123456789', TOKEN: 'hush', SKEIN_LOG_RETENTION: '90m' };
  const argv = ['config', 'check', '--config', file, '--node-region', 'ams'];
  const { stdout, stderr, status } = run(argv, env);
  assert.equal(stderr, '');
  assert.equal(status, 0);
  const rows = stdout.split('\n').map((line) => line.split(/ {2,}/));
  for (const row of [
    ['app', 'cities', 'check.toml:1'],
    ['node.region', 'ams', 'flag --node-region'],
    ['log.retention', '90m', 'variable SKEIN_LOG_RETENTION'],
    ['kill_timeout', '5s', 'default'],
    ['node.secret', '•••', 'variable SKEIN_NODE_SECRET'],
    ['env.A', '1', 'check.toml:3'],
    ['env.DB_PASSWORD', '•••', 'check.toml:4'],
    ['env.URL', '•••', 'check.toml:5'],
    ['processes.web.command', 'x', 'check.toml:7'],
    ['processes.web.on', 'all', 'default'],
  ]) {
    assert.ok(
      rows.some((found) => found.join() === row.join()),
      `${row.join(' ')} in\n${stdout}`,
    );
  }
  assert.match(stdout, /Accepted, without a meaning yet: build/);
  const json = run([...argv, '--json'], env).stdout;
  assert.doesNotMatch(stdout + json, /very-secret|hush/);
  const answer: { settings: Record<string, unknown> } = JSON.parse(json);
  assert.deepEqual(answer.settings['log.retention'], {
    value: '90m',
    source: 'variable SKEIN_LOG_RETENTION',
  });
});

test('config check ends with exit code 2 where the configuration is wrong', () => {
  writeFileSync(join(directory, 'wrong.toml'), '[node]\nlisten = "here"\n');
  const { stderr, status } = run(['config', 'check', '--config=wrong.toml']);
  assert.match(stderr, /^skein: wrong\.toml:2: node\.listen is "here"; allowed: .*\[CONFIG_INVALID\]\n$/);
  assert.equal(status, 2);
});

test('output is coloured only where someone sees it', () => {
  assert.ok(!run(['stats'], { TERM: 'xterm-256color' }).stderr.includes('\u001b'));
});
