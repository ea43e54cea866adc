import { obstacleTo } from '../lease/eligibility.ts';
import type { Announcement, LeaseRecord } from '../lease/lease-record.ts';
import type { StatusAnswer } from './status-answer.ts';

/** What was found out of a cluster. The lease is to be read before the nodes are asked: they have no less than it says. */
export type Heard = {
  /** Whether the primary never changes. */
  readonly isFixed: boolean;
  readonly record: LeaseRecord | undefined;
  readonly isHeld: boolean;
  readonly announcements: readonly Announcement[];
  /** Of the nodes that answered. */
  readonly statuses: readonly StatusAnswer[];
};

export type KnownNode = {
  readonly node: string;
  readonly region: string;
  /** `silent`: it is named by others only. */
  readonly state: 'leads' | 'standby' | 'candidate' | 'replica' | 'silent';
  /** Why it could not lead if the lease were free now, as a sentence's end after its name; null when it could. */
  readonly obstacle: string | null;
  /** By database. */
  readonly positions: Readonly<Record<string, string>>;
};

type Acknowledging = NonNullable<StatusAnswer['replicas']>[number];

const fixed = 'follows a fixed primary ([lease] type = "static")';
/** It has ended a moment ago, or is not open to where this was asked. */
const gone = 'announced itself lately, and does not answer from here';
const silent = 'is silent: it does not run, or does not reach the lease store';

/** Every node that somebody speaks of, the one that leads first, then by name. */
export function knownNodes(heard: Heard): KnownNode[] {
  const { record, announcements, statuses } = heard;
  const names = new Set([
    ...(record?.holder ? [record.holder.node] : []),
    ...(record && typeof record.standby === 'string' ? [record.standby] : []),
    ...announcements.map(({ node }) => node),
    ...statuses.flatMap(({ node, replicas }) => [node, ...(replicas ?? []).map((replica) => replica.node)]),
  ]);
  const nodes = [...names].map((name) => knownNode(name, heard));
  return nodes.sort((one, other) => rank(one) - rank(other) || one.node.localeCompare(other.node));
}

function knownNode(node: string, { isFixed, record, isHeld, announcements, statuses }: Heard): KnownNode {
  const told = announcements.find((announcement) => announcement.node === node);
  const status = statuses.find((answer) => answer.node === node);
  const replica = statuses.flatMap(({ replicas }) => replicas ?? []).find((one) => one.node === node);
  const isHolder = record?.holder?.node === node;
  const leads = isFixed ? status?.role === 'primary' : isHolder && isHeld;
  const positions =
    (status && positionsOf(status)) ??
    (replica?.connected ? replica.acknowledged : undefined) ??
    told?.positions ??
    (isHolder ? record.positions : replica?.acknowledged) ??
    {};
  const region =
    told?.region ?? status?.region ?? replica?.region ?? (isHolder ? record.holder?.region : undefined);
  const isPresent = status !== undefined || replica?.connected === true;
  const obstacle = isFixed ? fixed : obstacleOf(isPresent, told, replica, positions, record);
  const isCandidate = told !== undefined || replica?.candidate === true;
  const present = record?.standby === node ? 'standby' : isCandidate ? 'candidate' : 'replica';
  return {
    node,
    region: region ?? '-',
    state: leads ? 'leads' : isPresent ? present : 'silent',
    obstacle: leads ? null : obstacle,
    positions,
  };
}

/** An announcement may be some seconds old, so what the primary or the node itself says of its position counts for more. */
function obstacleOf(
  isPresent: boolean,
  told: Announcement | undefined,
  replica: Acknowledging | undefined,
  positions: Readonly<Record<string, string>>,
  record: LeaseRecord | undefined,
): string | null {
  if (replica?.candidate === false) return 'is no candidate ([node] candidate)';
  if (!isPresent) return told === undefined ? silent : gone;
  if (told === undefined) return 'has not announced itself in the lease store';
  return obstacleTo({ node: told.node, candidate: true, epoch: told.epoch, positions }, record) ?? null;
}

function positionsOf({ databases }: StatusAnswer): Record<string, string> {
  return Object.fromEntries(
    Object.entries(databases).map(([name, { txid, checksum }]) => [name, `${txid}/${checksum}`]),
  );
}

function rank({ state }: KnownNode): number {
  return ['leads', 'standby', 'candidate', 'replica', 'silent'].indexOf(state);
}
