import { formatNumber } from './report.ts';
import type { Figure } from './result.ts';

export const panelWidth = 400;
export const rowHeight = 24;

const labelWidth = 150;
const valueWidth = 105;
const barSpace = panelWidth - labelWidth - valueWidth;
const spreadAxisMs = [0.1, 1, 10, 100];
const spreadFromMs = 0.05;
const spreadToMs = 300;
const spreadLeft = 110;

export type Bar = {
  readonly label: string;
  /** Of the longest possible bar, 0 to 1. */
  readonly share: number;
  readonly target?: number | undefined;
  readonly value: string;
  readonly kind?: 'plain' | 'ours';
};

export function bar({ label, share, target, value, kind = 'ours' }: Bar): string {
  const length = round(Math.max(1, Math.min(1, share) * barSpace));
  const mark = target === undefined ? '' : tick(round(labelWidth + Math.min(1, target) * barSpace));
  return `${text(0, 15, label)}<rect class="${kind}" x="${labelWidth}" y="4" width="${length}" height="14" rx="2"/>${mark}${text(panelWidth, 15, value, 'end')}`;
}

function tick(x: number): string {
  return `<line class="target" x1="${x}" x2="${x}" y1="1" y2="21" stroke-width="2"/>`;
}

export function text(x: number, y: number, content: string, kind = ''): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  return `<text x="${x}" y="${y}"${kind === '' ? '' : ` class="${kind}"`}>${escaped}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

export type Spread = {
  readonly label: string;
  /** In rising order; where one was not measured, the row is left out. */
  readonly figures: readonly (Figure | undefined)[];
};

/** Each a line from its first figure to its last, in ms on a logarithmic axis, which takes a row of its own below them. */
export function spreadRows(spreads: readonly Spread[]): string[] {
  const rows = spreads.flatMap(({ label, figures }) => {
    const known = figures.filter((figure) => figure !== undefined);
    return known.length === figures.length ? [spreadRow(label, known)] : [];
  });
  if (rows.length === 0) return [];
  const axis = spreadAxisMs.map((ms) => {
    const x = spreadX(ms);
    const line = `<line class="axis" x1="${x}" x2="${x}" y1="${-rows.length * rowHeight}" y2="2"/>`;
    return line + text(x, 16, formatNumber(ms), 'quiet middle');
  });
  return [...rows, axis.join('')];
}

function spreadRow(label: string, figures: readonly Figure[]): string {
  const marks = figures.map(
    ({ value }, index) => `<circle class="ours" cx="${spreadX(value)}" cy="11" r="${5 - index}"/>`,
  );
  const targets = figures.flatMap(({ target }) => (target ? [tick(spreadX(target.value))] : []));
  const [from, to] = [figures[0], figures[figures.length - 1]].map(({ value }) => spreadX(value));
  const line = `<line class="line" x1="${from}" x2="${to}" y1="11" y2="11" stroke-width="2"/>`;
  const values = figures.map(({ value }) => formatNumber(Number(value.toPrecision(2)))).join(' · ');
  const drawn = [line, ...marks, ...targets].join('');
  return text(0, 15, label) + drawn + text(panelWidth, 15, values, 'end');
}

function spreadX(ms: number): number {
  const share = Math.log10(ms / spreadFromMs) / Math.log10(spreadToMs / spreadFromMs);
  return round(spreadLeft + Math.max(0, Math.min(1, share)) * (panelWidth - valueWidth - spreadLeft - 10));
}
