import { z } from 'zod';
import { messageOf, SkeinError } from '../base/errors.ts';
import { isChecksum, type Position, parsePosition, txid } from '../ltx/position.ts';

/**
 * What primary and replica say to each other over one WebSocket: control messages as JSON text, LTX files and page
 * checksums as binary chunks. Raise the version with any change that the other side would not understand.
 */
export const protocolVersion = 1;
export const streamPath = '/stream';

/** Both sides send at least this often, and take longer silence than the other for a broken link. */
export const heartbeatMs = 1_000;
export const silenceMaxMs = 5_000;
/** A chunk of an LTX file; also the bound of what a message may hold. */
export const chunkBytesMax = 1 << 18;
export const messageBytesMax = 1 << 20;
/** Positions of its log that a primary names, for a replica to find the newest that both have. */
export const sharedMax = 64;

const positionText = z.string().transform((text, context): Position => {
  const position = parsePosition(text);
  if (position) return position;
  context.addIssue({ code: 'custom', message: 'not a position' });
  return z.NEVER;
});
const databaseName = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^/\0]+\.db$/);
const databaseId = z.number().int().min(0).max(0xffff);
const label = z.string().max(200);

const fromReplica = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('hello'),
    protocol: z.number().int(),
    app: label,
    node: label,
    region: label,
    /** Under which other nodes reach its API. */
    url: z.string().max(2_048).default(''),
    candidate: z.boolean(),
    epoch: z.number().int(),
    databases: z.record(databaseName, positionText),
    /** Databases whose copy proved wrong while applying: their pages are compared whatever their positions say. */
    distrusted: z.array(databaseName).max(10_000),
  }),
  /** Answers `compare`: binary checksum chunks of this length follow. */
  z.object({
    type: z.literal('checksums'),
    id: databaseId,
    pageSize: z.number().int(),
    bytes: z.number().int().min(0),
  }),
  /** `chainEpoch` is what the replica has noted as the epoch of its databases' chain. */
  z.object({ type: z.literal('heartbeat'), chainEpoch: z.number().int().default(0) }),
]);

const fromPrimary = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('welcome'),
    protocol: z.number().int(),
    node: label,
    region: label,
    epoch: z.number().int(),
  }),
  /** From here on chunks with this id belong to this database. */
  z.object({ type: z.literal('database'), id: databaseId, name: databaseName }),
  /**
   * Asks for the checksum of every page of the replica's copy, which the primary's state at `position` will replace. `shared`
   * are some positions of the primary's log, newest first, and the oldest.
   */
  z.object({
    type: z.literal('compare'),
    id: databaseId,
    position: positionText,
    shared: z.array(positionText).max(sharedMax).default([]),
  }),
  /** The replica's copy is on the chain now: from here on it gets each transaction as it comes. */
  z.object({ type: z.literal('following'), id: databaseId }),
  z.object({ type: z.literal('drop'), name: databaseName }),
  /** `ready` once the primary's release command is done: before that, its databases may be half made. */
  z.object({
    type: z.literal('heartbeat'),
    clockMs: z.number(),
    ready: z.boolean(),
    positions: z.record(databaseName, positionText),
  }),
  /** The hold of the lease is the replica's now, with this record, which is a text of JSON. */
  z.object({
    type: z.literal('lead'),
    token: z.string().max(1_000),
    record: z.string().max(messageBytesMax / 2),
  }),
  z.object({ type: z.literal('refuse'), code: z.string(), message: z.string() }),
]);

export type FromReplica = z.output<typeof fromReplica>;
export type FromPrimary = z.output<typeof fromPrimary>;
export type ReplicaMessage = z.input<typeof fromReplica>;
export type PrimaryMessage = z.input<typeof fromPrimary>;

export function parseFromReplica(text: string): FromReplica {
  return parse(fromReplica, text);
}

export function parseFromPrimary(text: string): FromPrimary {
  return parse(fromPrimary, text);
}

function parse<T>(schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new SkeinError(
      'PROTOCOL_INVALID',
      `The other node sent a message that is not of this protocol: ${messageOf(error).slice(0, 200)}`,
      {
        cause: error,
      },
    );
  }
}

/** What a binary message carries. */
export const chunkKind = { next: 1, changed: 2, snapshot: 3, checksums: 4, acknowledgement: 5 } as const;
export type ChunkKind = (typeof chunkKind)[keyof typeof chunkKind];

/** Kind, flags (1: first chunk of its file, 2: last), database id; then the bytes. */
export const chunkHeadBytes = 4;
const firstFlag = 1;
const lastFlag = 2;

export type Chunk = {
  readonly kind: ChunkKind;
  readonly first: boolean;
  readonly last: boolean;
  readonly id: number;
  readonly bytes: Uint8Array;
};

export function encodeChunk(chunk: Chunk): Buffer {
  const message = Buffer.allocUnsafe(chunkHeadBytes + chunk.bytes.length);
  message[0] = chunk.kind;
  message[1] = (chunk.first ? firstFlag : 0) | (chunk.last ? lastFlag : 0);
  message.writeUInt16BE(chunk.id, 2);
  message.set(chunk.bytes, chunkHeadBytes);
  return message;
}

/** An acknowledgement's bytes: TXID and checksum of what is applied and logged, each u64 big-endian. */
export function encodeAcknowledgement(position: Position): Buffer {
  const bytes = Buffer.allocUnsafe(16);
  bytes.writeBigUInt64BE(BigInt(position.txid), 0);
  bytes.writeBigUInt64BE(position.checksum, 8);
  return bytes;
}

/** Throws `PROTOCOL_INVALID`. */
export function decodeAcknowledgement(bytes: Uint8Array): Position {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length === 16) {
    const value = Number(buffer.readBigUInt64BE(0));
    const sum = buffer.readBigUInt64BE(8);
    if (Number.isSafeInteger(value) && isChecksum(sum)) return { txid: txid(value), checksum: sum };
  }
  throw new SkeinError(
    'PROTOCOL_INVALID',
    'The other node sent an acknowledgement that is not of this protocol.',
  );
}

/** The chunk's bytes are a view of the message. Throws `PROTOCOL_INVALID`. */
export function decodeChunk(message: Buffer): Chunk {
  const kind = Object.values(chunkKind).find((known) => known === message[0]);
  if (message.length < chunkHeadBytes || kind === undefined || message[1] > 3) {
    throw new SkeinError('PROTOCOL_INVALID', 'The other node sent a chunk that is not of this protocol.');
  }
  return {
    kind,
    first: (message[1] & firstFlag) !== 0,
    last: (message[1] & lastFlag) !== 0,
    id: message.readUInt16BE(2),
    bytes: message.subarray(chunkHeadBytes),
  };
}
