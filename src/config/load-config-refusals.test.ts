import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'smol-toml';
import { SkeinError } from '../base/errors.ts';
import type { Config } from './config.ts';
import { loadConfig } from './load-config.ts';
import { acceptedPaths, keyList } from './schema.ts';

let cwd = '';

beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'skein-refusals-'));
});

afterEach(() => rmSync(cwd, { recursive: true }));

function load(text: string | undefined, env: NodeJS.ProcessEnv = {}, argv: readonly string[] = []): Config {
  if (text !== undefined) writeFileSync(join(cwd, 'skein.toml'), text);
  return loadConfig({ argv, env, cwd });
}

type Refusal = {
  readonly name: string;
  readonly file?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly argv?: readonly string[];
  readonly code: string;
  readonly message: string;
};

const refusals: readonly Refusal[] = [
  {
    name: 'a misspelt section',
    file: 'app = "a"\n\n[databse]\ndir = "x"',
    code: 'CONFIG_UNKNOWN_KEY',
    message: 'skein.toml:3: unknown key databse. The nearest known key is database.',
  },
  {
    name: 'a misspelt key',
    file: '[database]\n# here\ndri = "x"',
    code: 'CONFIG_UNKNOWN_KEY',
    message: 'skein.toml:3: unknown key database.dri. The nearest known key is database.dir.',
  },
  {
    name: 'a key in the wrong section',
    file: 'internal_port = 80',
    code: 'CONFIG_UNKNOWN_KEY',
    message: 'skein.toml:1: unknown key internal_port. The nearest known key is http_service.internal_port.',
  },
  {
    name: 'a key like no other',
    file: '[log]\ncolour = "red"',
    code: 'CONFIG_UNKNOWN_KEY',
    message: 'skein.toml:2: unknown key log.colour. Known here: bytes_max, retention.',
  },
  {
    name: 'an unknown key of a process',
    file: '[processes.web]\ncommand = "a"\nno = "primary"',
    code: 'CONFIG_UNKNOWN_KEY',
    message: 'skein.toml:3: unknown key processes.web.no. The nearest known key is processes.web.on.',
  },
  {
    name: 'a misspelt variable',
    env: { SKEIN_DATABSE_DIR: 'x' },
    code: 'CONFIG_UNKNOWN_KEY',
    message: 'Unknown variable SKEIN_DATABSE_DIR. The nearest known one is SKEIN_DATABASE_DIR.',
  },
  {
    name: 'a variable without its section',
    env: { SKEIN_SECRET: 'x' },
    code: 'CONFIG_UNKNOWN_KEY',
    message: 'Unknown variable SKEIN_SECRET. The nearest known one is SKEIN_NODE_SECRET.',
  },
  {
    name: 'a misspelt flag',
    argv: ['--databse-dir', 'x'],
    code: 'USAGE',
    message: 'There is no flag --databse-dir. The nearest is --database-dir.',
  },
  {
    name: 'a flag like no other',
    argv: ['--telemetry'],
    code: 'USAGE',
    message: 'There is no flag --telemetry. `skein help VERB` lists the flags of a verb.',
  },
  {
    name: 'a flag without its value',
    argv: ['--app'],
    code: 'USAGE',
    message: '--app needs a value: --app VALUE.',
  },
  {
    name: 'a flag that swallows the next',
    argv: ['--app', '--node-name=x'],
    code: 'USAGE',
    message: '--app needs a value. If "--node-name=x" is meant, write --app=--node-name=x.',
  },
  {
    name: 'an argument too many',
    argv: ['--app', 'x', 'y'],
    code: 'USAGE',
    message: 'Unexpected argument "y". Leave it out.',
  },
  {
    name: 'a port out of range',
    file: '[http_service]\ninternal_port = 99999',
    code: 'CONFIG_INVALID',
    message: 'skein.toml:2: http_service.internal_port is 99999; allowed: a port, 1 to 65535.',
  },
  {
    name: 'a port by variable that is no number',
    env: { SKEIN_HTTP_SERVICE_INTERNAL_PORT: 'http' },
    code: 'CONFIG_INVALID',
    message: 'SKEIN_HTTP_SERVICE_INTERNAL_PORT is "http"; allowed: a port, 1 to 65535.',
  },
  {
    name: 'a signal that does not exist',
    argv: ['--kill-signal=SIGFOO'],
    code: 'CONFIG_INVALID',
    message:
      '--kill-signal is "SIGFOO"; allowed: SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGKILL, SIGSTOP.',
  },
  {
    name: 'a kill timeout above the most',
    file: 'kill_timeout = "6m"',
    code: 'CONFIG_INVALID',
    message: 'skein.toml:1: kill_timeout is "6m"; allowed: a duration from `0s` to `300s`.',
  },
  {
    name: 'a value of the wrong kind',
    file: '[node]\ncandidate = 1979-05-27',
    code: 'CONFIG_INVALID',
    message: 'skein.toml:2: node.candidate is a date; allowed: true or false.',
  },
  {
    name: 'a value in the place of a section',
    file: 'database = "data"',
    code: 'CONFIG_INVALID',
    message: 'skein.toml:1: database is "data"; allowed: a section, [database].',
  },
  {
    name: 'a section in the place of a value',
    file: '[app]\nname = "x"',
    code: 'CONFIG_INVALID',
    message:
      'skein.toml:1: app is a table; allowed: 1 to 128 letters, digits, `.`, `_` and `-`, a letter or digit first.',
  },
  {
    name: 'a URL with a path',
    file: '[lease]\nprimary = "http://a:1/b"',
    code: 'CONFIG_INVALID',
    message:
      'skein.toml:2: lease.primary is "http://a:1/b"; allowed: an http or https URL of host and port only, such as `http://10.0.0.5:20202`.',
  },
  {
    name: 'a lease that is not there',
    file: '[lease]\ntype = "zookeeper"',
    code: 'CONFIG_INVALID',
    message: 'skein.toml:2: lease.type is "zookeeper"; allowed: static, file, etcd, redis, consul.',
  },
  {
    name: 'a lease without its store',
    file: '[lease]\ntype = "etcd"',
    code: 'CONFIG_INVALID',
    message:
      'lease.type is "etcd", and there is no lease.url. Give it (key url of [lease], SKEIN_LEASE_URL or --lease-url).',
  },
  {
    name: 'a key of another type of lease',
    file: '[lease]\ntype = "file"\npath = "lease"\nurl = "http://a:1"',
    code: 'CONFIG_INVALID',
    message:
      'skein.toml:4: lease.url has no meaning with lease.type "file", which takes lease.path. Remove it, or change the type.',
  },
  {
    name: 'a lease that ends sooner than its store can tell',
    file: '[lease]\ntype = "consul"\nurl = "http://a:1"\nttl = "5s"',
    code: 'CONFIG_INVALID',
    message:
      'lease.ttl is 5s; with lease.type "consul" it is 10s at least. Raise it (key ttl of [lease], SKEIN_LEASE_TTL or --lease-ttl).',
  },
  {
    name: 'a log that is too small',
    file: '[log]\nbytes_max = "4kB"',
    code: 'CONFIG_INVALID',
    message: 'skein.toml:2: log.bytes_max is "4kB"; allowed: a size from `1MiB` to `1024TiB`.',
  },
  {
    name: 'a variable in the file that is not set',
    file: '[database]\ndir = "$NOWHERE/db"',
    code: 'CONFIG_INVALID',
    message:
      'skein.toml:2: database.dir uses $NOWHERE, which is not set. Set the variable NOWHERE, or write $$ for a dollar sign.',
  },
  {
    name: 'an empty command',
    file: '[processes]\nweb = " "',
    code: 'CONFIG_INVALID',
    message: 'skein.toml:2: processes.web.command is " "; allowed: a shell command.',
  },
  {
    name: 'a process without a command',
    file: '[processes.web]\non = "all"',
    code: 'CONFIG_INVALID',
    message: 'skein.toml:1: processes.web has no command. Add command = "…" to it.',
  },
  {
    name: 'the place of a process that is not there',
    env: { SKEIN_PROCESSES_WEB_ON: 'all' },
    code: 'CONFIG_INVALID',
    message:
      'SKEIN_PROCESSES_WEB_ON is about a process "web" that has no command. Give it one in [processes].',
  },
  {
    name: 'a process in no known place',
    file: '[processes.web]\ncommand = "a"\non = "replica"',
    code: 'CONFIG_INVALID',
    message: 'skein.toml:3: processes.web.on is "replica"; allowed: all, primary.',
  },
  {
    name: 'a name of a process that no terminal should see',
    file: '[processes]\n"a b" = "x"',
    code: 'CONFIG_INVALID',
    message:
      'skein.toml:2: processes.a b.command has the name "a b"; allowed: 1 to 63 letters, digits, _ and -.',
  },
  {
    name: 'a variable of the app that is a list',
    file: '[env]\nA = [1]',
    code: 'CONFIG_INVALID',
    message: 'skein.toml:2: env.A is an array; allowed: a text, a number, true or false.',
  },
  {
    name: 'a variable of the app with a name of the platform',
    file: '[env]\nFLY_REGION = "x"',
    code: 'CONFIG_INVALID',
    message:
      'skein.toml:2: env.FLY_REGION begins with FLY_, as only the names that the node itself gives do; allowed: another name.',
  },
  {
    name: 'a short secret, which is not repeated',
    env: { SKEIN_NODE_SECRET: 'hunter2' },
    code: 'CONFIG_INVALID',
    message:
      'SKEIN_NODE_SECRET is a text of 7 characters that is not shown; allowed: 16 to 1024 printable ASCII characters without spaces.',
  },
  {
    name: 'an open address without a secret',
    argv: ['--node-listen=:20202'],
    code: 'SECRET_REQUIRED',
    message:
      'node.listen is [::]:20202, which other machines can reach, and there is no secret. Give every node the same one (key secret of [node], SKEIN_NODE_SECRET or --node-secret), for example from: openssl rand -hex 32',
  },
  {
    name: 'a primary that could not know itself',
    argv: ['--node-listen=:1', '--node-secret=0123456789abcdef', '--lease-primary=http://a:1'],
    code: 'CONFIG_INVALID',
    message:
      'node.listen is [::]:1, which other nodes cannot connect to as it stands. Give the URL of this node as they reach it (key advertise of [node], SKEIN_NODE_ADVERTISE or --node-advertise).',
  },
  {
    name: 'a file that is not there',
    argv: ['--config=other.toml'],
    code: 'CONFIG_NOT_FOUND',
    message: 'There is no file other.toml. Name an existing one by --config or SKEIN_CONFIG.',
  },
  {
    name: 'text that is no TOML',
    file: 'app = "a"\n[node]\nname = = 1',
    code: 'CONFIG_SYNTAX',
    message: 'skein.toml:3:8: not valid TOML: invalid value.',
  },
];

for (const { name, file, env, argv, code, message } of refusals) {
  test(`${name} is refused with ${code} and what to do`, () => {
    assert.throws(
      () => load(file, env, argv),
      (error) => {
        assert.ok(error instanceof SkeinError, String(error));
        assert.deepEqual([error.code, error.message], [code, message]);
        return true;
      },
    );
  });
}

test('a file that is no text, or no file, or too large, is refused', () => {
  writeFileSync(join(cwd, 'a.toml'), Buffer.from([0x61, 0xff, 0xfe]));
  assert.throws(() => load(undefined, {}, ['--config=a.toml']), {
    code: 'CONFIG_SYNTAX',
    message: /a.toml is not UTF-8/,
  });
  assert.throws(() => load(undefined, {}, ['--config=.']), {
    code: 'CONFIG_NOT_FOUND',
    message: /cannot be read: EISDIR/,
  });
  writeFileSync(join(cwd, 'b.toml'), '#'.repeat(1024 ** 2 + 1));
  assert.throws(() => load(undefined, {}, ['--config=b.toml']), {
    code: 'CONFIG_INVALID',
    message: /larger than 1 MiB/,
  });
});

test('whatever stands in a file, in variables and in flags, it is taken or refused, and never breaks anything', () => {
  const parts = [
    ...keyList.flatMap(({ path }) => path),
    ...acceptedPaths,
    'env',
    'processes',
    'web',
    'on',
    '__proto__',
  ];
  const name = fc.oneof(fc.constantFrom(...parts), fc.string());
  const text = fc.oneof(fc.constantFrom('5s', '1GiB', 'http://a:1', ':1', '$X', 'all', 'true'), fc.string());
  const value = fc.oneof(text, fc.integer(), fc.double(), fc.boolean(), fc.date({ noInvalidDate: true }));
  const nested = fc.oneof(
    value,
    fc.array(value),
    fc.dictionary(name, fc.oneof(value, fc.dictionary(name, value))),
  );
  const variables = fc.dictionary(
    name.map((suffix) => `SKEIN_${suffix.toUpperCase()}`),
    text,
  );
  const flags = fc.array(
    fc.oneof(
      name.map((flag) => `--${flag}`),
      text,
    ),
    { maxLength: 4 },
  );
  fc.assert(
    fc.property(fc.dictionary(name, nested), variables, flags, (table, env, argv) => {
      writeFileSync(join(cwd, 'any.toml'), stringify(table));
      try {
        loadConfig({ argv: ['--config=any.toml', ...argv], env, cwd });
      } catch (error) {
        if (!(error instanceof SkeinError)) throw error;
      }
    }),
    { numRuns: 500 },
  );
});
