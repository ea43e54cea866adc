import { type Figure, isMet, type Report, type Target } from './result.ts';

const headings = ['', 'median', 'lowest to highest', 'target', ''];

/** The whole report as lines for a terminal. */
export function reportLines(report: Report): string[] {
  return [...machineLines(report), ...report.sections.flatMap(sectionLines)];
}

function machineLines({ machine, takenAt, quick }: Report): string[] {
  const memory = `${Math.round(machine.memoryBytes / 2 ** 30)} GiB`;
  return [
    `${takenAt}${quick ? ', quick: few and short rounds, so these figures are rough' : ''}`,
    `${machine.processor}, ${machine.cores} cores, ${memory}, ${machine.kernel}`,
    `Node.js ${machine.node}, SQLite ${machine.sqlite}, load before ${machine.loadBefore.toFixed(2)}`,
    ...(machine.loadBefore > machine.cores / 4
      ? ['Other programs were at work before the run began: rates and times are not to be relied on.']
      : []),
  ];
}

function sectionLines({ title, about, figures }: Report['sections'][number]): string[] {
  const rows = figures.map(rowOf);
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column].length)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column]) : padded(cell, widths[column], column),
      )
      .join('  ')
      .trimEnd();
  return ['', title, ...wrapped(about, 100), '', line(headings), ...rows.map(line)];
}

/** Figures to the right, words to the left. */
function padded(cell: string, width: number, column: number): string {
  return column === 1 || column === 2 ? cell.padStart(width) : cell.padEnd(width);
}

function rowOf(figure: Figure): string[] {
  const { label, value, unit, min, max, target } = figure;
  const spread = min === undefined || max === undefined ? '' : `${formatNumber(min)} to ${formatNumber(max)}`;
  return [
    label,
    `${formatNumber(value)} ${unit}`,
    spread,
    target ? formatTarget(target) : '',
    verdictOf(figure),
  ];
}

/** `met`, `missed by 12 %`, or nothing for a figure without a target. */
export function verdictOf(figure: Figure): string {
  const met = isMet(figure);
  if (met === undefined || !figure.target) return '';
  if (met) return 'met';
  const distance = Math.abs(figure.value - figure.target.value) / figure.target.value;
  return distance < 3
    ? `missed by ${Math.max(1, Math.round(distance * 100))} %`
    : `missed: ${Math.round(distance + 1)} times it`;
}

export function formatTarget({ bound, value }: Target): string {
  return `${bound === 'at least' ? '≥' : '≤'} ${formatNumber(value)}`;
}

/** Three significant digits, and a comma between thousands. */
export function formatNumber(value: number): string {
  if (value === 0) return '0';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  const rounded = digits === 0 ? Math.round(value) : Number(value.toFixed(Math.min(digits, 3)));
  return rounded.toLocaleString('en', { maximumFractionDigits: 3 });
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [''];
  for (const word of text.split(' ')) {
    const last = lines[lines.length - 1];
    if (last.length + word.length + 1 > width) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines;
}
