import { styleText } from 'node:util';
import { SkeinError } from '../base/errors.ts';
import { nodeFlagsHelp, parseVerbFlags } from './config-flags.ts';
import { clientFor } from './node-client.ts';
import { type StatusAnswer, statusAnswer } from './status-answer.ts';
import { plain, table } from './table.ts';
import type { Verb, VerbInput } from './verb.ts';

async function show(input: VerbInput): Promise<number> {
  const { values, positionals, configArgv } = parseVerbFlags(input.argv, ['json'], ['url']);
  if (positionals[0] !== undefined) {
    throw new SkeinError('USAGE', `Unexpected argument "${positionals[0]}". A node is named by --url.`);
  }
  const client = clientFor(input, configArgv, values.get('url'));
  const answer = await client.json({ method: 'GET', path: '/status', idleMs: 10_000 }, statusAnswer);
  process.stdout.write(values.has('json') ? `${JSON.stringify(answer, undefined, 2)}\n` : statusText(answer));
  return 0;
}

/** The status as people read it: one table per subject. */
export function statusText(status: StatusAnswer): string {
  const parts = [nodeTable(status), databaseTable(status)];
  if (status.role === 'primary') parts.push(replicaTable(status.replicas ?? []));
  parts.push(processTable(status.processes ?? []));
  return parts.join('\n');
}

function nodeTable({ node, pid, app, region, role, primary, epoch }: StatusAnswer): string {
  const colour = role === 'primary' ? 'green' : 'cyan';
  const shownRole = styleText(colour, role, { stream: process.stdout });
  const leader = primary === null ? '-' : plain(`${primary.node ?? '?'} (${primary.url})`);
  const row = [plain(node), plain(app), plain(region), shownRole, leader, String(epoch), String(pid)];
  return table(['node', 'app', 'region', 'role', 'primary', 'epoch', 'pid'], [row]);
}

function databaseTable({ databases }: StatusAnswer): string {
  const rows = Object.entries(databases).map(([name, { txid, checksum, lagMs }]) => [
    plain(name),
    plain(txid),
    plain(checksum),
    typeof lagMs === 'number' ? `${Number(lagMs.toFixed(1))} ms` : '-',
  ]);
  return rows.length === 0 ? 'No databases.\n' : table(['database', 'txid', 'checksum', 'lag'], rows);
}

function replicaTable(replicas: NonNullable<StatusAnswer['replicas']>): string {
  const rows = replicas.flatMap(({ node, region, connected, acknowledged }) => {
    const state = connected ? 'connected' : styleText('red', 'away', { stream: process.stdout });
    const positions = Object.entries(acknowledged);
    const who = [plain(node), plain(region), state];
    if (positions.length === 0) return [[...who, '-', '-']];
    return positions.map(([name, position], index) => [
      ...(index === 0 ? who : ['', '', '']),
      plain(name),
      plain(position),
    ]);
  });
  if (rows.length === 0) return 'No replicas.\n';
  return table(['replica', 'region', 'state', 'database', 'acknowledged'], rows);
}

function processTable(processes: NonNullable<StatusAnswer['processes']>): string {
  const rows = processes.map(({ name, on, state, pid, restarts }) => [
    plain(name),
    plain(on),
    plain(state),
    String(pid ?? '-'),
    String(restarts ?? 0),
  ]);
  return rows.length === 0 ? 'No processes.\n' : table(['process', 'on', 'state', 'pid', 'restarts'], rows);
}

export const status: Verb = {
  help: `Usage: skein status [--json] [--url URL] [--config FILE]

Shows a node: its role, the position of each database, on the primary what each replica acknowledged, and the
state of the app's processes.

  --json         The answer of the node as it is
${nodeFlagsHelp}`,
  run: show,
};
