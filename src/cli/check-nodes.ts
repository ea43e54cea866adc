import { wallClockMs } from '../base/clock.ts';
import { SkeinError } from '../base/errors.ts';
import { type Finding, note, ok, warning } from './finding.ts';
import { type LeadershipAnswer, leadershipAnswer } from './leadership-answer.ts';
import type { NodeClient } from './node-client.ts';
import { type StatusAnswer, statusAnswer } from './status-answer.ts';

const clockDifferenceMaxMs = 1_000;
const statusIdleMs = 5_000;
/** They are asked to find out whether they are there at all. */
const otherIdleMs = 2_000;
/** The node asks its lease store first. */
const leadershipIdleMs = 15_000;

export type NodeLook = {
  readonly status: StatusAnswer;
  readonly leadership: LeadershipAnswer;
  /** How far its wall clock is ahead of this machine's, at least; negative when it is behind. */
  readonly clockAheadMs: number;
};

/** Throws what the client does. */
export async function lookAtNode(client: NodeClient): Promise<NodeLook> {
  const status = await client.json({ method: 'GET', path: '/status', idleMs: statusIdleMs }, statusAnswer);
  const beforeMs = wallClockMs();
  const leadership = await client.json(
    { method: 'GET', path: '/leadership', idleMs: leadershipIdleMs },
    leadershipAnswer,
  );
  const [leastMs, mostMs] = [leadership.clockMs - wallClockMs(), leadership.clockMs - beforeMs];
  return { status, leadership, clockAheadMs: leastMs > 0 ? leastMs : Math.min(0, mostMs) };
}

/** Undefined when the node does not answer from here. */
export async function statusOf(client: NodeClient): Promise<StatusAnswer | undefined> {
  try {
    return await client.json({ method: 'GET', path: '/status', idleMs: otherIdleMs }, statusAnswer);
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    return undefined;
  }
}

/** What the node that was asked says of itself. */
export function checkNode(url: string, { status, leadership }: NodeLook): Finding[] {
  const { node, role, primary } = status;
  const place = `${node} runs at ${url}`;
  const findings: Finding[] = [];
  if (role === 'primary') findings.push(ok('node', `${place} and leads`));
  else if (primary !== null) findings.push(ok('node', `${place} and follows ${primary.node ?? primary.url}`));
  else {
    const advice = 'The lead below says why. If a node leads, see that its URL is open from here.';
    findings.push(warning('node', `${place} and follows nobody`, advice));
  }
  if (leadership.problem !== null) {
    const advice = 'The node needs the lease store too, from where it runs.';
    findings.push(warning('node', `${node}: ${leadership.problem}`, advice));
  }
  return [...findings, ...checkDatabases(status)];
}

export function unreached(error: SkeinError): Finding {
  const advice = 'What follows is looked up without it.';
  return warning('node', error.message, advice);
}

export function checkClock(name: string, clockAheadMs: number): Finding {
  const differenceMs = Math.round(Math.abs(clockAheadMs));
  if (differenceMs <= clockDifferenceMaxMs)
    return ok('clock', `that of ${name} and this machine's are within 1 s`);
  const which = clockAheadMs > 0 ? 'ahead of' : 'behind';
  const what = `that of ${name} is ${(differenceMs / 1000).toFixed(1)} s ${which} this machine's`;
  return warning(
    'clock',
    what,
    'Set the clocks by NTP. Leases do not count on them; time stamps and lags do.',
  );
}

function checkDatabases({ node, databases, refused }: StatusAnswer): Finding[] {
  const standing = Object.entries(databases).flatMap(([name, { problem }]) =>
    typeof problem === 'string' ? [`${name} stands still on ${node}: ${problem}`] : [],
  );
  const advice = 'docs/operations.md says what the lines of the node mean.';
  const left = Object.entries(refused ?? {}).map(([name, why]) =>
    note('databases', `${name} is not replicated: ${why}`),
  );
  return [...standing.map((what) => warning('databases', what, advice)), ...left];
}
