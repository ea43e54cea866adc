import { messageOf } from '../base/errors.ts';
import type { Config } from '../config/config.ts';
import { formatDuration } from '../config/duration.ts';
import type { Lease } from '../lease/lease.ts';
import type { Announcement, LeaseRecord } from '../lease/lease-record.ts';
import { openLease } from '../lease/open-lease.ts';
import { type Finding, ok, warning } from './finding.ts';
import type { KnownNode } from './known-nodes.ts';

const storeTimeoutMs = 5_000;
const check = 'lease store';

export type LeaseLook = {
  readonly record: LeaseRecord | undefined;
  readonly isHeld: boolean;
  readonly announcements: readonly Announcement[];
  readonly isReached: boolean;
  readonly finding: Finding;
};

/** What the store says, asked from here and not by way of a node. Takes nothing and changes nothing. */
export async function lookAtLease(config: Config): Promise<LeaseLook> {
  const { type, key, ttlMs } = config.lease;
  const none = { record: undefined, isHeld: false, announcements: [], isReached: false };
  if (type === 'static') return { ...none, finding: ok(check, 'none: the primary is fixed') };
  let lease: Lease | undefined;
  try {
    lease = await openLease(config);
    const signal = AbortSignal.timeout(storeTimeoutMs);
    const { record, isHeld } = await lease.read(signal);
    const announcements = await lease.announcements(signal);
    const where =
      type === 'file' ? `a file in ${config.lease.path}` : `${type} at ${addressOf(config)}, key ${key}`;
    const finding = ok(check, `${where}, TTL ${formatDuration(ttlMs)}`);
    return { record, isHeld, announcements, isReached: true, finding };
  } catch (error) {
    const advice = 'Until it answers nobody can come to lead; reads go on, and writes until the lease ends.';
    return { ...none, finding: warning(check, messageOf(error), advice) };
  } finally {
    await lease?.close();
  }
}

/** Who leads, and whether another could. */
export function checkLead(look: LeaseLook, nodes: readonly KnownNode[]): Finding[] {
  const { record, isHeld } = look;
  if (!look.isReached) return [];
  const able = nodes.filter(({ obstacle, state }) => obstacle === null && state !== 'leads');
  const names = able.map(({ node }) => node).join(', ');
  if (!isHeld) return [unled(record, names)];
  const isAlone = record !== undefined && record.standby === record.holder?.node;
  const leads = `${record?.holder?.node ?? 'a node'} leads${isAlone ? ' alone' : ''}, in epoch ${record?.epoch ?? 0}`;
  if (able.length > 0) return [ok('lead', `${leads}; ${names} could take over now`)];
  const advice = 'The table below says why. Until one can, no write is durable at `replica`.';
  return [warning('lead', `${leads}, and no other node could take over`, advice)];
}

function unled(record: LeaseRecord | undefined, able: string): Finding {
  if (able !== '') {
    const advice = `Look again in a moment; if it stays so, the log of ${able} says why.`;
    return warning('lead', `nobody leads, and ${able} could`, advice);
  }
  if (record === undefined) {
    return warning('lead', 'nobody leads, and the lease was never held', 'Start a node that is a candidate.');
  }
  const { holder, standby } = record;
  const last = [holder?.node, standby].filter((name, index, all) => name && all.indexOf(name) === index);
  const back = last.length === 0 ? 'Start the node that led last' : `Start ${last.join(' or ')}`;
  const advice = `${back}. If no such node can come back: \`skein promote --accept-loss\` on the node with the highest positions, without what it lacks.`;
  return warning('lead', 'nobody leads, and no node that is known of may', advice);
}

/** Without user and password. */
function addressOf({ lease }: Config): string {
  const parts = (lease.url ?? '').split(',').map((text) => URL.parse(text.trim()));
  return parts.map((url) => (url ? `${url.protocol}//${url.host}` : '?')).join(', ');
}
