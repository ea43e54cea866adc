import { z } from 'zod';
import { formatByteSize, parseByteSize } from './byte-size.ts';
import type { Config } from './config.ts';
import { formatDuration, parseDurationMs } from './duration.ts';
import { formatListenAddress, parseListenAddress } from './listen-address.ts';

/**
 * One key of the configuration. The table below is all there is to know about it: files, variables, flags, checks,
 * `skein config check`, `skein help run` and the reference in docs/configuration.md are made from it.
 */
export type Key<T> = {
  readonly path: readonly string[];
  /** Takes what TOML gives, or the text of a variable or flag. */
  readonly value: z.ZodType<T>;
  /** What the value may be, for messages and the reference. */
  readonly allowed: string;
  /** The default in words; empty where there is none. */
  readonly fallback: string;
  readonly about: string;
  /** The value in force, as one would write it; undefined if there is none. */
  readonly effective: (config: Config) => string | undefined;
  /** A command: the shell expands its variables when it runs. */
  readonly isCommand?: boolean;
  readonly isSecret?: boolean;
};

function key<T>(dotted: string, rest: Omit<Key<T>, 'path'>): Key<T> {
  return { path: dotted.split('.'), ...rest };
}

/** A value that `parse` understands from a number or a text, undefined being a refusal. */
function parsed<T>(parse: (value: number | string) => T | undefined): z.ZodType<T> {
  return z.union([z.number(), z.string()]).transform((value, context): T => {
    const result = parse(value);
    if (result !== undefined) return result;
    context.addIssue({ code: 'custom', message: 'not understood' });
    return z.NEVER;
  });
}

function durationWithin(leastMs: number, mostMs: number): z.ZodType<number> {
  return parsed(parseDurationMs).refine((ms) => ms >= leastMs && ms <= mostMs);
}

const signals = [
  'SIGINT',
  'SIGTERM',
  'SIGQUIT',
  'SIGHUP',
  'SIGUSR1',
  'SIGUSR2',
  'SIGKILL',
  'SIGSTOP',
] as const;
const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/);
const nameAllowed = '1 to 128 letters, digits, `.`, `_` and `-`, a letter or digit first';
const region = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/);
const regionAllowed = '1 to 32 letters, digits, `_` and `-`, such as `ams`';
const text = z
  .string()
  .min(1)
  .regex(/^[^\0]*$/);
const command = z
  .string()
  .regex(/\S/)
  .regex(/^[^\0]*$/);
const boolean = z.union([z.boolean(), z.enum(['true', 'false']).transform((word) => word === 'true')]);
const port = parsed((value) => (/^\d{1,5}$/.test(String(value)) ? Number(value) : undefined)).refine(
  (number) => number >= 1 && number <= 65_535,
);

/** An http or https URL without a path, as its origin: two that lead to the same place are equal texts. */
const origin = parsed((value) => {
  const url = URL.parse(String(value));
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '')
    return undefined;
  return url.pathname === '/' && url.search === '' && url.hash === '' ? url.origin : undefined;
});
const originAllowed = 'an http or https URL of host and port only, such as `http://10.0.0.5:20202`';

const leaseTypes = ['static', 'file', 'etcd', 'redis', 'consul'] as const;

const dayMs = 86_400_000;

export const keys = {
  app: key('app', {
    value: name,
    allowed: nameAllowed,
    fallback: 'the name of the working directory',
    about: 'Name of the app. Nodes of different apps refuse each other.',
    effective: (config) => config.app,
  }),
  primaryRegion: key('primary_region', {
    value: region,
    allowed: regionAllowed,
    fallback: '',
    about: 'Region that the app gets as `PRIMARY_REGION`, and in which nodes are candidates by default.',
    effective: (config) => config.primaryRegion,
  }),
  killSignal: key('kill_signal', {
    value: z.enum(signals),
    allowed: signals.join(', '),
    fallback: 'SIGINT',
    about: 'Signal that asks a process to stop.',
    effective: (config) => config.killSignal,
  }),
  killTimeout: key('kill_timeout', {
    value: durationWithin(0, 300_000),
    allowed: 'a duration from `0s` to `300s`',
    fallback: '5s',
    about: 'Time that a process has to stop before it is killed.',
    effective: (config) => formatDuration(config.killTimeoutMs),
  }),
  releaseCommand: key('deploy.release_command', {
    value: command,
    allowed: 'a shell command',
    fallback: '',
    about: 'Runs once on the primary, before any process starts.',
    effective: (config) => config.releaseCommand,
    isCommand: true,
  }),
  releaseCommandTimeout: key('deploy.release_command_timeout', {
    value: durationWithin(1000, dayMs),
    allowed: 'a duration from `1s` to `1d`',
    fallback: '5m',
    about: 'Time after which the release command counts as failed.',
    effective: (config) => formatDuration(config.releaseCommandTimeoutMs),
  }),
  internalPort: key('http_service.internal_port', {
    value: port,
    allowed: 'a port, 1 to 65535',
    fallback: '8080',
    about: 'Port of the app, given to it as `PORT`.',
    effective: (config) => String(config.internalPort),
  }),
  databaseDir: key('database.dir', {
    value: text,
    allowed: 'a path',
    fallback: './data',
    about:
      'Directory of the databases. From a file it is relative to that file, otherwise to the working directory.',
    effective: (config) => config.database.dir,
  }),
  nodeName: key('node.name', {
    value: name,
    allowed: nameAllowed,
    fallback: '`FLY_MACHINE_ID`, else the host name',
    about: 'Name of this node, different from that of every other.',
    effective: (config) => config.node.name,
  }),
  nodeRegion: key('node.region', {
    value: region,
    allowed: regionAllowed,
    fallback: '`FLY_REGION`, else `primary_region`, else `local`',
    about: 'Region that this node is in.',
    effective: (config) => config.node.region,
  }),
  nodeListen: key('node.listen', {
    value: parsed(parseListenAddress),
    allowed: '`host:port`, `[::1]:port`, `:port` for all interfaces, or a port alone for this machine only',
    fallback: '127.0.0.1:20202',
    about: 'Address of the control API and the stream. Beyond this machine it needs `node.secret`.',
    effective: (config) => formatListenAddress(config.node.listen),
  }),
  nodeAdvertise: key('node.advertise', {
    value: origin,
    allowed: originAllowed,
    fallback: '`http://` and `node.listen`',
    about: 'URL under which the other nodes reach this one.',
    effective: (config) => config.node.advertise,
  }),
  nodeCandidate: key('node.candidate', {
    value: boolean,
    allowed: 'true or false',
    fallback:
      '`true`; with a lease that is not `static`, and `primary_region` set, whether this node is in that region',
    about: 'Whether this node may become primary.',
    effective: (config) => String(config.node.candidate),
  }),
  nodeSecret: key('node.secret', {
    value: z.string().regex(/^[\x21-\x7e]{16,1024}$/),
    allowed: '16 to 1024 printable ASCII characters without spaces',
    fallback: '',
    about: 'What every request to a node must carry. The same on all nodes.',
    effective: (config) => config.node.secret,
    isSecret: true,
  }),
  leaseType: key('lease.type', {
    value: z.enum(leaseTypes),
    allowed: leaseTypes.join(', '),
    fallback: 'static',
    about:
      'What decides who leads: `static` is one fixed node; with the others, candidates take turns as [leases](leases.md) describes.',
    effective: (config) => config.lease.type,
  }),
  leasePrimary: key('lease.primary', {
    value: origin,
    allowed: originAllowed,
    fallback: 'this node',
    about: 'With `static`: URL of the primary. The node whose `node.advertise` equals it is the primary.',
    effective: (config) => config.lease.primary,
  }),
  leasePath: key('lease.path', {
    value: text,
    allowed: 'a path',
    fallback: '',
    about: 'With `file`: directory of the lease, the same for all nodes, which run on one machine.',
    effective: (config) => config.lease.path,
  }),
  leaseUrl: key('lease.url', {
    value: text,
    allowed: 'a URL',
    fallback: '',
    about:
      'With `etcd`, `redis` and `consul`: where the store is, with user and password if it asks for them; for etcd several, separated by commas.',
    effective: (config) => config.lease.url,
    isSecret: true,
  }),
  leaseKey: key('lease.key', {
    value: z
      .string()
      .regex(/^[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+){0,7}$/)
      .max(200),
    allowed: 'up to 200 letters, digits, `.`, `_`, `-` and, between them, `/`',
    fallback: '`skein/` and `app`',
    about: 'Name of the lease in the store. One for each app.',
    effective: (config) => config.lease.key,
  }),
  leaseTtl: key('lease.ttl', {
    value: durationWithin(1_000, 300_000),
    allowed: 'a duration from `1s` to `300s`; with etcd from `2s`, with Consul from `10s`',
    fallback: '10s',
    about: 'After this time without a sign of life from the primary, another node may lead.',
    effective: (config) => formatDuration(config.lease.ttlMs),
  }),
  logRetention: key('log.retention', {
    value: durationWithin(0, 3650 * dayMs),
    allowed: 'a duration from `0s` to `3650d`',
    fallback: '10m',
    about: 'How long changes are kept for replicas that are away. A replica away for longer gets a snapshot.',
    effective: (config) => formatDuration(config.log.retentionMs),
  }),
  logBytesMax: key('log.bytes_max', {
    value: parsed(parseByteSize).refine((bytes) => bytes >= 1024 ** 2 && bytes <= 1024 ** 5),
    allowed: 'a size from `1MiB` to `1024TiB`',
    fallback: '1GiB',
    about: 'Disk space that those changes may take.',
    effective: (config) => formatByteSize(config.log.bytesMax),
  }),
} as const;

export const keyList: readonly Key<unknown>[] = Object.values(keys);

/** What a process may say in its table form, `[processes.NAME]`. */
export const processFields = ['command', 'on'] as const;

/** Sections whose keys the app chooses. */
export const openSections = ['env', 'processes'] as const;

/** What fly.toml defines beyond the keys above: accepted whole, without a meaning here yet. */
export const acceptedPaths: ReadonlySet<string> = new Set([
  ...['build', 'checks', 'compute', 'console_command', 'container', 'experimental', 'files'],
  ...['host_dedication_id', 'machine_config', 'metric', 'metrics', 'mount', 'mounts', 'restart'],
  ...['services', 'statics', 'swap_size_mb', 'vm'],
  ...['strategy', 'max_unavailable', 'wait_timeout', 'release_command_vm', 'seed_command'].map(
    (name) => `deploy.${name}`,
  ),
  ...[
    'auto_start_machines',
    'auto_stop_machines',
    'checks',
    'concurrency',
    'force_https',
    'http_options',
  ].map((name) => `http_service.${name}`),
  ...['machine_checks', 'min_machines_running', 'processes', 'tls_options'].map(
    (name) => `http_service.${name}`,
  ),
]);

/** Variables of this form that are no configuration: what Skein gives to apps, and what its tests use. */
export const foreignVariable = /^SKEIN_(?:DIR|API|TOKEN|REGION|GUARD|PROCESS|TEST_.*)$/;

export function dottedOf(path: readonly string[]): string {
  return path.join('.');
}

/** The one rule: key `dir` of `[database]` is `SKEIN_DATABASE_DIR`. */
export function variableOf(path: readonly string[]): string {
  return `SKEIN_${path.join('_').toUpperCase().replaceAll('-', '_')}`;
}

/** The one rule: key `dir` of `[database]` is `--database-dir`; this is the name without the dashes. */
export function flagOf(path: readonly string[]): string {
  return path.join('-').toLowerCase().replaceAll('_', '-');
}
