import { formatNumber } from './report.ts';
import { type Figure, findFigure, type Report } from './result.ts';

const width = 880;
const margin = 20;
const gap = 40;
const panelWidth = (width - 2 * margin - gap) / 2;
const rowHeight = 24;
const headHeight = 50;
const panelGap = 28;
const labelWidth = 150;
const valueWidth = 105;
const barSpace = panelWidth - labelWidth - valueWidth;
const fontSize = 12;

/** The page decides between light and dark, as its reader set it. */
const style = `
  text { font: ${fontSize}px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .quiet { fill: #59636e }
  .end { text-anchor: end } .middle { text-anchor: middle }
  .ours { fill: #0f766e } .plain { fill: #8c959f } .line { stroke: #0f766e } .target { stroke: #bc4c00 }
  .axis { stroke: #d1d9e0 } .page { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .quiet { fill: #9198a1 }
    .ours { fill: #2dd4bf } .plain { fill: #656c76 } .line { stroke: #2dd4bf } .target { stroke: #ff9e64 }
    .axis { stroke: #3d444d } .page { fill: #0d1117 }
  }`;

type Panel = { readonly title: string; readonly about: string; readonly rows: readonly string[] };

/** The main figures of a report as an SVG document; what was not measured is left out. */
export function chartOf(report: Report): string {
  const columns = [
    [insertsPanel(report), readsPanel(report)],
    [lagPanel(report), resourcesPanel(report)],
  ];
  const drawn: string[] = [];
  let bottom = margin;
  for (const [column, panels] of columns.entries()) {
    let top = margin;
    for (const panel of panels.filter(({ rows }) => rows.length > 0)) {
      drawn.push(panelAt(panel, margin + column * (panelWidth + gap), top));
      top += headHeight + panel.rows.length * rowHeight + panelGap;
    }
    bottom = Math.max(bottom, top);
  }
  const { machine, takenAt, quick } = report;
  const foot = `${takenAt.slice(0, 10)}, ${machine.processor}, ${machine.cores} cores, Node.js ${machine.node}, SQLite ${machine.sqlite}${quick ? ', quick run' : ''}. Orange: target.`;
  const height = bottom + 12;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="Benchmarks of Skein">
<style>${style}
</style>
<rect class="page" width="${width}" height="${height}" rx="8"/>
${drawn.join('\n')}
${text(margin, height - 12, foot, 'quiet')}
</svg>
`;
}

function panelAt({ title, about, rows }: Panel, x: number, y: number): string {
  const placed = rows.map(
    (row, index) => `<g transform="translate(0 ${headHeight + index * rowHeight})">${row}</g>`,
  );
  return `<g transform="translate(${x} ${y})">
${text(0, 14, title, 'title')}
${text(0, 33, about, 'quiet')}
${placed.join('\n')}
</g>`;
}

function insertsPanel(report: Report): Panel {
  const rows = (['normal', 'full'] as const).flatMap((synchronous) => {
    const rate = (id: string) => findFigure(report, `inserts.${synchronous}.${id}.rate`);
    const plain = rate('plain');
    if (!plain) return [];
    const names = {
      alone: 'primary alone',
      'one-replica': 'with one replica',
      'three-replicas': 'with three replicas',
    };
    return [
      bar({
        label: `plain SQLite, ${synchronous.toUpperCase()}`,
        share: 1 / 1.25,
        kind: 'plain',
        value: perSecond(plain),
      }),
      ...Object.entries(names).map(([id, label]) => {
        const ratio = findFigure(report, `inserts.${synchronous}.${id}.ratio`);
        const value = `${perSecond(rate(id))} · ${(ratio?.value ?? 0).toFixed(2)}`;
        return bar({ label, share: (ratio?.value ?? 0) / 1.25, target: scaled(ratio, 1.25), value });
      }),
    ];
  });
  return {
    title: 'Small inserts per second',
    about: 'one writer, a transaction each, and the ratio to plain SQLite',
    rows,
  };
}

function readsPanel(report: Report): Panel {
  const plain = findFigure(report, 'reads.plain');
  const written = findFigure(report, 'reads.plain-written');
  const replica = findFigure(report, 'reads.replica');
  const title = 'Point reads per second';
  const about = 'by primary key; “written”: 1,000 commits/s at the same time';
  if (!plain || !written || !replica) return { title, about, rows: [] };
  const ratio = findFigure(report, 'reads.ratio');
  const most = Math.max(plain.value, written.value, replica.value);
  return {
    title,
    about,
    rows: [
      bar({ label: 'plain SQLite', share: plain.value / most, kind: 'plain', value: perSecond(plain) }),
      bar({
        label: 'plain SQLite, written',
        share: written.value / most,
        kind: 'plain',
        value: perSecond(written),
      }),
      bar({
        label: 'replica, written',
        share: replica.value / most,
        target: ((ratio?.target?.value ?? 0) * plain.value) / most,
        value: `${perSecond(replica)} · ${(ratio?.value ?? 0).toFixed(2)}`,
      }),
    ],
  };
}

/** Speed and memory of the syncs, and what an idle node takes. */
function resourcesPanel(report: Report): Panel {
  const shown: readonly (readonly [string, string, number])[] = [
    ['sync.first.speed', 'first sync', 500],
    ['sync.first.primary-memory', 'its memory, primary', 500],
    ['sync.first.replica-memory', 'its memory, replica', 500],
    ['idle.fresh.primary.memory', 'idle primary', 500],
    ['idle.fresh.replica.memory', 'idle replica', 500],
  ];
  const rows = shown.flatMap(([id, label, full]) => {
    const figure = findFigure(report, id);
    if (!figure) return [];
    const value = `${formatNumber(figure.value)} ${figure.unit}`;
    return [bar({ label, share: figure.value / full, target: scaled(figure, full), value })];
  });
  const sync = report.sections.find(({ id }) => id === 'sync');
  return { title: 'Sync and memory', about: sync?.title ?? 'resident memory of a node', rows };
}

const lagAxisMs = [0.1, 1, 10, 100];
const lagFromMs = 0.05;
const lagToMs = 300;
const lagLeft = 110;

/** On a logarithmic axis: a line from the median over p99 to the longest. */
function lagPanel(report: Report): Panel {
  const rows = [100, 1_000, 10_000].flatMap((rate) => {
    const [p50, p99, max] = ['p50', 'p99', 'max'].map((part) => findFigure(report, `lag.${rate}.${part}`));
    if (!p50 || !p99 || !max) return [];
    const marks = [p50, p99, max].map(
      ({ value }, index) => `<circle class="ours" cx="${lagX(value)}" cy="11" r="${5 - index}"/>`,
    );
    const targets = [p50, p99].flatMap(({ target }) => (target ? [tick(lagX(target.value))] : []));
    const line = `<line class="line" x1="${lagX(p50.value)}" x2="${lagX(max.value)}" y1="11" y2="11" stroke-width="2"/>`;
    const values = [p50, p99, max].map(({ value }) => formatNumber(Number(value.toPrecision(2)))).join(' · ');
    return [
      text(0, 15, `${rate.toLocaleString('en')} writes/s`) +
        line +
        marks.join('') +
        targets.join('') +
        text(panelWidth, 15, values, 'end'),
    ];
  });
  const axis = lagAxisMs.map(
    (ms) =>
      `<line class="axis" x1="${lagX(ms)}" x2="${lagX(ms)}" y1="${-rows.length * rowHeight}" y2="2"/>${text(lagX(ms), 16, formatNumber(ms), 'quiet middle')}`,
  );
  return {
    title: 'Commit to visible on a replica, ms',
    about: 'median, p99 and longest, on a logarithmic axis',
    // The axis first, to lie below; it takes the last row's place.
    rows: rows.length === 0 ? [] : [...rows, axis.join('')],
  };
}

function lagX(ms: number): number {
  const share = Math.log10(ms / lagFromMs) / Math.log10(lagToMs / lagFromMs);
  return round(lagLeft + Math.max(0, Math.min(1, share)) * (panelWidth - valueWidth - lagLeft - 10));
}

type Bar = {
  readonly label: string;
  /** Of the longest possible bar, 0 to 1. */
  readonly share: number;
  readonly target?: number | undefined;
  readonly value: string;
  readonly kind?: 'plain' | 'ours';
};

function bar({ label, share, target, value, kind = 'ours' }: Bar): string {
  const length = round(Math.max(1, Math.min(1, share) * barSpace));
  const mark = target === undefined ? '' : tick(round(labelWidth + Math.min(1, target) * barSpace));
  return `${text(0, 15, label)}<rect class="${kind}" x="${labelWidth}" y="4" width="${length}" height="14" rx="2"/>${mark}${text(panelWidth, 15, value, 'end')}`;
}

function tick(x: number): string {
  return `<line class="target" x1="${x}" x2="${x}" y1="1" y2="21" stroke-width="2"/>`;
}

function text(x: number, y: number, content: string, kind = ''): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  return `<text x="${x}" y="${y}"${kind === '' ? '' : ` class="${kind}"`}>${escaped}</text>`;
}

function scaled(figure: Figure | undefined, full: number): number | undefined {
  return figure?.target && figure.target.value / full;
}

function perSecond(figure: Figure | undefined): string {
  return figure ? formatNumber(Number(figure.value.toPrecision(3))) : '';
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
