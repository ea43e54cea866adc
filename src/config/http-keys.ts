import { z } from 'zod';
import { formatByteSize, parseByteSize } from './byte-size.ts';
import type { Config } from './config.ts';
import { formatDuration } from './duration.ts';
import { durationWithin, key, parsed } from './key.ts';
import { formatListenAddress, parseListenAddress } from './listen-address.ts';

const hourMs = 3_600_000;

function sizeWithin(least: number, most: number): z.ZodType<number> {
  return parsed(parseByteSize).refine((bytes) => bytes >= least && bytes <= most);
}

function duration(
  name: string,
  least: string,
  limits: readonly [number, number],
  fallback: string,
  about: string,
  of: (http: Config['http']) => number,
) {
  const [leastMs, mostMs] = limits;
  return key(`http.${name}`, {
    value: durationWithin(leastMs, mostMs),
    allowed: `a duration from \`${least}\` to \`${formatDuration(mostMs)}\``,
    fallback,
    about,
    effective: ({ http }) => formatDuration(of(http)),
  });
}

function connectionsMax(name: string, about: string, of: (http: Config['http']) => number) {
  return key(`http.${name}`, {
    value: parsed((value) => (/^\d{1,6}$/.test(String(value)) ? Number(value) : undefined)).refine(
      (count) => count >= 1 && count <= 100_000,
    ),
    allowed: '1 to 100000',
    fallback: '10000',
    about,
    effective: ({ http }) => String(of(http)),
  });
}

const glob = z.string().regex(/^[\x21-\x2b\x2d-\x7e]{1,200}$/);
/** A list in a file; in a variable or a flag, one text with commas. */
const globs: z.ZodType<readonly string[]> = z.union([
  z.array(glob).max(100),
  z
    .string()
    .transform((text) => text.split(',').map((one) => one.trim()))
    .pipe(z.array(glob).max(100)),
]);
const globsAllowed =
  'a list of paths in which `*` stands for any text, such as `["/assets/*"]`; with commas in a variable or flag';

const durability = z.union([
  z.enum(['local', 'replica']),
  parsed((value) => (/^\d{1,3}$/.test(String(value)) ? Number(value) : undefined)).refine(
    (count) => count >= 1 && count <= 100,
  ),
]);

export const httpKeys = {
  httpListen: key('http.listen', {
    value: parsed(parseListenAddress),
    allowed: '`host:port`, `[::1]:port`, `:port` for all interfaces, or a port alone for this machine only',
    fallback: '',
    about: 'Address of the [door](door.md), in front of the app. Without it, there is none.',
    effective: ({ http }) => http.listen && formatListenAddress(http.listen),
  }),
  httpForward: key('http.forward', {
    value: z.enum(['direct', 'fly-replay']),
    allowed: 'direct, fly-replay',
    fallback: 'direct',
    about:
      'What becomes of a write on a replica: sent to the primary by this node, or answered with `fly-replay` for a proxy in front.',
    effective: ({ http }) => http.forward,
  }),
  httpDatabase: key('http.database', {
    value: z.string().regex(/^[^./\0][^/\0]{0,196}\.db$/),
    allowed: 'the name of a database, such as `app.db`',
    fallback: 'all',
    about: 'The one database whose position the door looks at.',
    effective: ({ http }) => http.database,
  }),
  httpPrimaryWait: duration(
    'primary_wait',
    '0s',
    [0, hourMs],
    'twice `lease.ttl`, and at least 5s',
    'How long a write is held while nobody leads.',
    (http) => http.primaryWaitMs,
  ),
  httpReadWait: duration(
    'read_wait',
    '0s',
    [0, hourMs],
    '5s',
    "How long a read waits for the client's own writes to arrive here.",
    (http) => http.readWaitMs,
  ),
  httpDurability: key('http.durability', {
    value: durability,
    allowed: '`local`, `replica`, or how many other nodes, 1 to 100',
    fallback: '`replica` while another candidate is connected, else `local`',
    about: 'Where a write has to be before its response goes out.',
    effective: ({ http }) => (http.durability === undefined ? undefined : String(http.durability)),
  }),
  httpDurabilityWait: duration(
    'durability_wait',
    '0s',
    [0, hourMs],
    '5s',
    'After this time the response goes out all the same, with `skein-durability: local`.',
    (http) => http.durabilityWaitMs,
  ),
  httpAlwaysForward: key('http.always_forward', {
    value: globs,
    allowed: globsAllowed,
    fallback: 'none',
    about: 'Paths whose requests are writes, whatever their method.',
    effective: ({ http }) => http.alwaysForward.join(', ') || undefined,
  }),
  httpPassthrough: key('http.passthrough', {
    value: globs,
    allowed: globsAllowed,
    fallback: 'none',
    about: 'Paths whose requests go to the app of this node as they are.',
    effective: ({ http }) => http.passthrough.join(', ') || undefined,
  }),
  httpTrustForwarded: key('http.trust_forwarded', {
    value: z.enum(['none', 'private', 'all']),
    allowed: 'none, private, all',
    fallback: 'private',
    about:
      'Of which senders `X-Forwarded-*` and `Forwarded` are believed; `private` are those with a loopback or private address.',
    effective: ({ http }) => http.trustForwarded,
  }),
  httpReplayBodyMax: key('http.replay_body_max', {
    value: sizeWithin(0, 64 << 20),
    allowed: 'a size from `0` to `64MiB`',
    fallback: '1MiB',
    about: "How much of a request's body is kept, so that the request can be sent once more.",
    effective: ({ http }) => formatByteSize(http.replayBodyMax),
  }),
  httpHeadMax: key('http.head_max', {
    value: sizeWithin(1_024, 1 << 20),
    allowed: 'a size from `1KiB` to `1MiB`',
    fallback: '32KiB',
    about: 'How large the head of a request or a response may be.',
    effective: ({ http }) => formatByteSize(http.headMax),
  }),
  httpHeadTimeout: duration(
    'head_timeout',
    '1s',
    [1_000, hourMs],
    '10s',
    'How long a client may take for the head of a request.',
    (http) => http.headTimeoutMs,
  ),
  httpIdleTimeout: duration(
    'idle_timeout',
    '1s',
    [1_000, hourMs],
    '60s',
    'How long a connection is kept between requests.',
    (http) => http.idleTimeoutMs,
  ),
  httpProgressTimeout: duration(
    'progress_timeout',
    '1s',
    [1_000, hourMs],
    '30s',
    'How long a client may send nothing of a body, or take nothing of a response, before it is cut off.',
    (http) => http.progressTimeoutMs,
  ),
  httpDrainTimeout: duration(
    'drain_timeout',
    '0s',
    [0, hourMs],
    '10s',
    'How long a node that stops waits for the requests that it is answering.',
    (http) => http.drainTimeoutMs,
  ),
  httpMaxLag: duration(
    'max_lag',
    '0s',
    [0, hourMs],
    '10s',
    'With more lag than this, `/skein/health` says that the node is not fit; `0s` for any.',
    (http) => http.maxLagMs,
  ),
  httpConnectionsMax: connectionsMax(
    'connections_max',
    'How many connections of clients the door has at once.',
    (http) => http.connectionsMax,
  ),
  httpAppConnectionsMax: connectionsMax(
    'app_connections_max',
    'How many connections the door has to the app at once; a WebSocket holds one. Requests beyond that wait for one, up to 5 s.',
    (http) => http.appConnectionsMax,
  ),
} as const;
