import { databaseName, type NodeStatus, positionOf } from './node-status.ts';
import { cutText, fitText, textWidth } from './text-width.ts';

export interface NodeView {
  name: string;
  city: string;
  /** Why there is no status, in words. */
  trouble?: string | undefined;
  status?: NodeStatus | undefined;
  transactionsPerSecond?: number | undefined;
  /** The last position that the primary knows to be on this replica. */
  acknowledged?: string | undefined;
}

export interface LogLine {
  node: string;
  text: string;
}

export interface ScreenState {
  nodes: readonly NodeView[];
  upMs: number;
  /** Where everything is: shown when there is room. */
  places: readonly string[];
  log: readonly LogLine[];
  /** The node that keys act on; undefined where there are no keys. */
  chosen?: string | undefined;
  /** What happened last; empty at first. */
  happened: string;
  /** The keys that work now. */
  keys: string;
}

export interface ScreenSize {
  columns: number;
  rows: number;
  color: boolean;
}

type Style = 'plain' | 'bold' | 'dim' | 'good' | 'bad';
type Span = readonly [text: string, style: Style];

const codes: Record<Style, string> = { plain: '0', bold: '1', dim: '2', good: '32', bad: '31' };
const headings = ['node', 'role', 'position', 'lag', 'tx/s', 'acknowledged', 'processes'];
/** Below this many columns a node takes two lines instead of one. */
const tableColumnsMin = 84;

/** The live screen as lines, none wider and no more of them than the size allows. */
export function screen(state: ScreenState, size: ScreenSize): string[] {
  const title: Span[] = [
    ['Skein', 'bold'],
    [`  cities in ${state.nodes.length} regions, up ${duration(state.upMs)}`, 'plain'],
  ];
  const lines: Span[][] = [title, [], ...nodeLines(state.nodes, size.columns, state.chosen), []];
  const bottom: Span[][] = [[[state.happened, 'bold']], [[state.keys, 'dim']]];
  const left = size.rows - lines.length - bottom.length;
  const placesHeight = state.places.length + 1;
  if (left >= placesHeight + 4) lines.push(...state.places.map((text): Span[] => [[text, 'plain']]), []);
  const logHeight = size.rows - lines.length - bottom.length - 1;
  if (logHeight >= 2) {
    const log = state.log.slice(-logHeight).map(({ node, text }): Span[] => [
      [`${node} `, 'dim'],
      [text, 'plain'],
    ]);
    const missing = Array.from({ length: logHeight - log.length }, (): Span[] => []);
    lines.push(...log, ...missing, []);
  }
  // What is too much is cut above the bottom, but never for it alone.
  const kept = lines.slice(0, Math.max(size.rows - bottom.length, Math.min(size.rows, lines.length - 1)));
  return [...kept, ...bottom].slice(0, size.rows).map((spans) => paint(spans, size));
}

/** The table of nodes alone, for a report that stays on the terminal. */
export function table(nodes: readonly NodeView[], size: Omit<ScreenSize, 'rows'>): string[] {
  return nodeLines(nodes, size.columns).map((spans) => paint(spans, size));
}

/** The state of all nodes in one line, for an output that is no terminal. */
export function statusLine(nodes: readonly NodeView[]): string {
  return nodes
    .map((node) => {
      if (!node.status) return `${node.name} ${node.trouble ?? 'unknown'}`;
      const lag = node.status.role === 'replica' ? ` lag ${lagOf(node)}` : ` ${rateOf(node)} tx/s`;
      return `${node.name} ${node.status.role} ${shortPosition(positionOf(node.status))}${lag}`;
    })
    .join(' | ');
}

/** `TXID/checksum` as people compare it: the number without leading zeros, the checksum's first eight digits. */
export function shortPosition(position: string | undefined): string {
  const [txid, checksum] = position?.split('/') ?? [];
  if (!txid || !checksum) return '-';
  return `${txid.replace(/^0+(?=.)/, '')}/${checksum.slice(0, 8)}`;
}

/** With a node chosen, each gets a place for the mark before it. */
function nodeLines(nodes: readonly NodeView[], columns: number, chosen?: string): Span[][] {
  const isWide = columns >= tableColumnsMin;
  const lines = isWide ? tableLines(nodes) : nodes.flatMap(stackedLines);
  if (chosen === undefined) return lines;
  const chosenAt = nodes.findIndex(({ name }) => name === chosen);
  const markedAt = isWide ? chosenAt + 1 : chosenAt * 2;
  return lines.map((line, index) => [[index === markedAt ? '> ' : '  ', 'bold'], ...line]);
}

function tableLines(nodes: readonly NodeView[]): Span[][] {
  const rows = [headings.map((heading): Span => [heading, 'dim']), ...nodes.map(cellsOf)];
  // The last cell of a row takes what is left of the line.
  const widthOf = (row: Span[], column: number): number =>
    column < row.length - 1 ? textWidth(row[column]?.[0] ?? '') : 0;
  const widths = headings.map((_, column) => Math.max(...rows.map((row) => widthOf(row, column))));
  return rows.map((row) =>
    row.map(([text, style], column): Span => {
      const isLast = column === row.length - 1;
      return [isLast ? text : `${fitText(text, widths[column] ?? 0)}  `, style];
    }),
  );
}

function cellsOf(node: NodeView): Span[] {
  const { status } = node;
  return [
    [`${node.name} ${node.city}`, 'plain'],
    status ? roleOf(status) : ['unknown', 'dim'],
    [shortPosition(positionOf(status)), 'plain'],
    [lagOf(node), 'plain'],
    [rateOf(node), 'plain'],
    [shortPosition(node.acknowledged), 'plain'],
    status ? processesOf(status) : troubleOf(node),
  ];
}

function troubleOf({ trouble }: NodeView): Span {
  const isExpected = trouble === 'starting' || trouble === 'not started yet';
  return [trouble ?? 'unknown', isExpected ? 'dim' : 'bad'];
}

function stackedLines(node: NodeView): Span[][] {
  const [name, role, position, lag, rate, , processes] = cellsOf(node);
  if (!name || !role || !position || !lag || !rate || !processes) return [];
  const numbers = `${position[0]}  lag ${lag[0]}  ${rate[0]} tx/s`;
  return [
    [name, ['  ', 'plain'], role, ['  ', 'plain'], processes],
    [
      ['  ', 'plain'],
      [numbers, 'dim'],
    ],
  ];
}

function roleOf(status: NodeStatus): Span {
  if (status.role === 'primary') return ['primary', 'bold'];
  return status.primary ? ['replica', 'plain'] : ['replica, alone', 'bad'];
}

function lagOf({ status }: NodeView): string {
  const lagMs = status?.role === 'replica' ? status.databases[databaseName]?.lagMs : undefined;
  if (lagMs === undefined || lagMs === null) return '-';
  if (lagMs < 10) return `${lagMs.toFixed(1)} ms`;
  return lagMs < 10_000 ? `${Math.round(lagMs)} ms` : `${Math.round(lagMs / 1000)} s`;
}

function rateOf({ status, transactionsPerSecond }: NodeView): string {
  if (!status || transactionsPerSecond === undefined) return '-';
  return transactionsPerSecond.toFixed(transactionsPerSecond < 10 ? 1 : 0);
}

function processesOf(status: NodeStatus): Span {
  const here = status.processes.filter(
    ({ on, state }) => on !== 'primary' || status.role === 'primary' || state === 'running',
  );
  const text = here.map(({ name, state, restarts }) => {
    const again = restarts > 0 ? ` (${restarts} ${restarts === 1 ? 'restart' : 'restarts'})` : '';
    return `${name} ${state}${again}`;
  });
  const isGood = here.length > 0 && here.every(({ state }) => state === 'running');
  return [text.join(', ') || '-', isGood ? 'good' : 'plain'];
}

function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

/** The spans as one line, cut to the width before the colours go in. */
function paint(spans: readonly Span[], size: Omit<ScreenSize, 'rows'>): string {
  let left = size.columns;
  let line = '';
  for (const [text, style] of spans) {
    const cut = cutText(text, left);
    left -= textWidth(cut);
    const isPainted = size.color && style !== 'plain' && cut.trim() !== '';
    line += isPainted ? `\u001b[${codes[style]}m${cut}\u001b[0m` : cut;
    if (cut !== text) break;
  }
  return line.trimEnd();
}
