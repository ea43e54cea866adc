import { z } from 'zod';
import { messageOf, SkeinError } from '../base/errors.ts';
import { type Head, keyCharactersMax, nameCharactersMax } from '../client/bus-frames.ts';

/** Frames between nodes. Raise the version with any change that the other side would not understand. */
export const peerProtocol = 2;
export const peerPath = '/peer';
export const peerUpgrade = 'skein-peer';

/** Names in one frame that tells several. */
export const namesPerFrame = 100;
export const peersMax = 64;

const name = z.string().min(1).max(nameCharactersMax);
const label = z.string().max(255);
const id = z.number().int().min(0);
const clockMs = z.number().min(0).max(Number.MAX_SAFE_INTEGER);
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const durability = z.enum(['default', 'local', 'replica']);
const stamp = z.tuple([count, count, z.string().max(64)]);
const digest = z.string().max(200);
const error = z.object({ name: label, message: z.string().max(20_000), code: label.optional() });

const cacheFrames = [
  z.object({
    t: z.literal('put'),
    cache: name,
    key: z.string().max(keyCharactersMax),
    stamp,
    left: z.number().min(0),
  }),
  z.object({ t: z.literal('clear'), cache: name, stamp }),
] as const;
const ping = z.object({ t: z.literal('ping'), clockMs });
const publish = z.object({ t: z.literal('publish'), channel: name });
const dropped = z.object({ t: z.literal('dropped'), channel: name, count });
const cancel = z.object({ t: z.literal('cancel'), id });

const fromProcess = z.discriminatedUnion('t', [
  z.object({ t: z.literal('hello'), protocol: z.number().int(), pid: z.number().int() }),
  ping,
  z.object({ t: z.literal('serve'), names: z.array(name).max(namesPerFrame) }),
  z.object({
    t: z.literal('call'),
    id,
    name,
    timeoutMs: z.number().min(0).max(600_000),
    idempotent: z.boolean(),
    nested: z.boolean(),
    durability,
  }),
  cancel,
  z.object({ t: z.literal('ran'), id, error: error.optional() }),
  z.object({ t: z.literal('subscribe'), channel: name }),
  z.object({ t: z.literal('unsubscribe'), channel: name }),
  publish,
  dropped,
  z.object({
    t: z.literal('open'),
    cache: name,
    ttlMs: z.number().min(1),
    maxBytes: z.number().min(0),
    digest,
  }),
  ...cacheFrames,
]);

const peer = z.object({ node: label.min(1), region: label, url: z.string().max(2_048) });

const fromPeer = z.discriminatedUnion('t', [
  /** `run` is another at each start of the node. `candidate`: whether it may lead. */
  peer.extend({
    t: z.literal('hello'),
    protocol: z.number().int(),
    app: label,
    run: label,
    candidate: z.boolean().optional(),
  }),
  z.object({ t: z.literal('refuse'), code: z.string().max(100), message: z.string().max(2_000) }),
  ping,
  /** Whom the sender is linked with. */
  z.object({ t: z.literal('peers'), peers: z.array(peer).max(peersMax) }),
  /** Whether the sender runs calls at this moment, and the epoch in which it leads. */
  z.object({ t: z.literal('lead'), leads: z.boolean(), epoch: count }),
  /** Calls are those of `FromProcess`; `leftMs` is what is left of their time. */
  z.object({
    t: z.literal('call'),
    id,
    name,
    leftMs: z.number().min(0).max(600_000),
    idempotent: z.boolean(),
    nested: z.boolean(),
    durability,
  }),
  cancel,
  /** Asks what has become of a call that was sent over a link which is lost; answered as the call is. */
  z.object({ t: z.literal('inquire'), id, leftMs: z.number().min(0).max(600_000) }),
  /** Asks for the positions that hold all that is committed now; answered as a call is. */
  z.object({ t: z.literal('where'), id, databases: z.array(label).max(1_000) }),
  /** How a call ended: see `CallOutcome`. The body is the result. */
  z.object({
    t: z.literal('outcome'),
    id,
    kind: z.enum(['done', 'again', 'refused', 'unknown']),
    durable: z.boolean().default(false),
    positions: z.record(label, z.string().max(40)).default({}),
    error: error.optional(),
  }),
  z.object({ t: z.literal('want'), channels: z.array(name).max(namesPerFrame) }),
  z.object({ t: z.literal('unwant'), channels: z.array(name).max(namesPerFrame) }),
  publish,
  dropped,
  /** The sender keeps a copy of the cache. Whoever has another digest sends what it has. */
  z.object({ t: z.literal('keep'), cache: name, digest }),
  ...cacheFrames,
]);

export type FromProcess = z.output<typeof fromProcess>;
export type FromPeer = z.output<typeof fromPeer>;
export type PeerFrame = z.input<typeof fromPeer>;
export type PeerInfo = z.output<typeof peer>;

/** Throws `PROTOCOL_INVALID`. */
export function parseFromProcess(head: Head): FromProcess {
  return parse(fromProcess, head);
}

/** Throws `PROTOCOL_INVALID`. */
export function parseFromPeer(head: Head): FromPeer {
  return parse(fromPeer, head);
}

function parse<T>(schema: z.ZodType<T>, head: Head): T {
  try {
    return schema.parse(head);
  } catch (cause) {
    throw new SkeinError(
      'PROTOCOL_INVALID',
      `The other side sent a frame that is not of this protocol: ${messageOf(cause).slice(0, 200)}`,
      { cause },
    );
  }
}
