import type { Candidacy } from './eligibility.ts';
import type { LeaseHolder, LeaseRecord } from './lease-record.ts';
import type { Term } from './term.ts';

/** This node, as the lease sees it. */
export type Member = LeaseHolder & Candidacy & { readonly isInPrimaryRegion: boolean };

/** What a node does at each change. They are called one at a time. */
export type LeadershipHandlers = {
  member(): Member;
  /** Whether there is a link to a primary. */
  isConnected(): boolean;
  /** Makes this node the primary. Rejects when it cannot be; the lease is given up then. */
  lead(term: Term): Promise<void>;
  /** Keeps the app from writing, whatever it takes, until `signal` aborts. */
  fence(signal: AbortSignal): Promise<void>;
  unfence(): Promise<void>;
  /** Makes this node a replica, of nobody while nobody is known to lead. Never rejects. */
  follow(primary: LeaseHolder | undefined, epoch: number): Promise<void>;
  /** What the holder's record says beside its name: see `LeaseRecord`. Undefined until it leads. */
  durable(): Pick<LeaseRecord, 'standby' | 'safe'> | undefined;
  written(record: LeaseRecord): void;
  notice(message: string, fields: Record<string, unknown>): void;
};
