import { z } from 'zod';
import { SkeinError } from '../base/errors.ts';

const name = z.string().max(255);
const positions = z.record(name, z.string().regex(/^[0-9a-f]{16}\/[0-9a-f]{16}$/));
const epoch = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

const leaseRecord = z.object({
  /** Rises with every new holder. */
  epoch,
  /** Rises with every write of one holder: one that comes late must not put an older record back. */
  revision: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
  /** Who leads, or led last; its time may be over. Null once it was given up in order. */
  holder: z.object({ node: name, region: name, url: z.string().max(2_048) }).nullable(),
  /** By database: what the holder had of its own chain when it last wrote the record; none before it has begun that. */
  positions,
  /** What was acknowledged at `replica` durability when the record was written: no node that lacks it may lead. */
  safe: z.object({
    /** The epoch of the chain that the positions are of. */
    epoch,
    positions,
  }),
  /**
   * The one node whose acknowledgement may make more than `safe` durable. The holder itself: it is alone, and may have told
   * what nobody else has. Null once the lease was given up in order: `safe` is all there is.
   */
  standby: name.nullable(),
});

/** What the lease store keeps, also while nobody leads. It is never removed. */
export type LeaseRecord = z.output<typeof leaseRecord>;
export type LeaseHolder = NonNullable<LeaseRecord['holder']>;

const announcement = z.object({
  node: name,
  region: name,
  url: z.string().max(2_048),
  /** The epoch of the last leader whose chain this node was seen to follow; 0 for none. */
  epoch,
  positions,
  /** Whether it has a link to a primary, and so leaves the lease alone. */
  isConnected: z.boolean(),
});

/** What a candidate tells the others of itself. */
export type Announcement = z.output<typeof announcement>;

/** The text that a store keeps. Texts compare as the records do in age, byte by byte: what tells it comes first. */
export function encodeRecord(record: LeaseRecord): string {
  return JSON.stringify({ order: orderOf(record), ...leaseRecord.parse(record) });
}

/** Every text of a record that is no newer than this one compares as less than this. */
export function boundAbove(record: LeaseRecord): string {
  return `{"order":"${orderOf(record)}~`;
}

function orderOf({ epoch, revision = 0 }: LeaseRecord): string {
  return [epoch, revision].map((number) => String(number).padStart(16, '0')).join('.');
}

/** Throws `LEASE_RECORD_INVALID`. */
export function decodeRecord(text: string): LeaseRecord {
  return decode(leaseRecord, text);
}

export function encodeAnnouncement(told: Announcement): string {
  return JSON.stringify(announcement.parse(told));
}

/** Throws `LEASE_RECORD_INVALID`. */
export function decodeAnnouncement(text: string): Announcement {
  return decode(announcement, text);
}

function decode<T>(schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new SkeinError(
      'LEASE_RECORD_INVALID',
      `What lies in the lease store is no record of Skein's: ${text.slice(0, 80)}. Give [lease] key a name that nothing else uses.`,
      { cause: error },
    );
  }
}
