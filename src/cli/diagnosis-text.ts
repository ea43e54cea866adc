import { styleText } from 'node:util';
import type { LeaseRecord } from '../lease/lease-record.ts';
import type { Finding } from './finding.ts';
import type { KnownNode } from './known-nodes.ts';
import { plain, table } from './table.ts';

/** What `skein doctor` found. */
export type Diagnosis = {
  readonly findings: readonly Finding[];
  /** What nobody who leads may lack; null when the lease store does not say. */
  readonly safe: LeaseRecord['safe'] | null;
  readonly nodes: readonly KnownNode[];
};

const colours = { ok: 'green', note: 'cyan', warning: 'yellow' } as const;

/** As people read it: the findings, what to do about them, the nodes, and what is safe. */
export function diagnosisText({ findings, safe, nodes }: Diagnosis): string {
  const parts = [findingTable(findings)];
  if (nodes.length > 0) parts.push(nodeTable(nodes));
  const positions = Object.entries(safe?.positions ?? {});
  if (safe && positions.length > 0) {
    const rows = positions.map(([name, position]) => [plain(name), plain(position), String(safe.epoch)]);
    parts.push(table(['safe', 'position', 'epoch'], rows));
  }
  return parts.join('\n');
}

function findingTable(findings: readonly Finding[]): string {
  const rows = findings.flatMap(({ mark, check, what, advice }) => {
    const shown = styleText(colours[mark], mark, { stream: process.stdout });
    const row = [shown, check, plain(what)];
    return advice === undefined ? [row] : [row, ['', '', plain(advice)]];
  });
  return table(['', 'check', 'found'], rows);
}

function nodeTable(nodes: readonly KnownNode[]): string {
  const rows = nodes.flatMap(({ node, region, state, obstacle, positions }) => {
    const couldLead = state === 'leads' ? '-' : obstacle === null ? 'yes' : `no: it ${obstacle}`;
    const who = [plain(node), plain(region), state];
    const held = Object.entries(positions);
    if (held.length === 0) return [[...who, '-', '-', plain(couldLead)]];
    return held.map(([name, position], index) => [
      ...(index === 0 ? who : ['', '', '']),
      plain(name),
      plain(position),
      index === 0 ? plain(couldLead) : '',
    ]);
  });
  return table(['node', 'region', 'state', 'database', 'position', 'could lead'], rows);
}
