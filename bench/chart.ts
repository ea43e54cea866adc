import { bar, panelWidth, rowHeight, spreadRows, text } from './chart-rows.ts';
import { formatNumber } from './report.ts';
import { type Figure, findFigure, type Report } from './result.ts';

const margin = 20;
const gap = 40;
const width = 2 * margin + gap + 2 * panelWidth;
const headHeight = 50;
const panelGap = 28;
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
    [insertsPanel(report), readsPanel(report), crashPanel(report)],
    [lagPanel(report), resourcesPanel(report), handoffPanel(report)],
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

function lagPanel(report: Report): Panel {
  const rows = [100, 1_000, 10_000].map((rate) => ({
    label: `${rate.toLocaleString('en')} writes/s`,
    figures: ['p50', 'p99', 'max'].map((part) => findFigure(report, `lag.${rate}.${part}`)),
  }));
  return {
    title: 'Commit to visible on a replica, ms',
    about: 'median, p99 and longest, on a logarithmic axis',
    rows: spreadRows(rows),
  };
}

/** What a change of the primary costs a writer, and what it costs to know that nothing would be lost. */
function handoffPanel(report: Report): Panel {
  const spreadOf = (label: string, id: string, parts: readonly string[]) => ({
    label,
    figures: parts.map((part) => findFigure(report, `${id}.${part}`)),
  });
  const rows = [
    spreadOf('handoff, file', 'handoff.file', ['p50', 'p99', 'max']),
    spreadOf('handoff, etcd', 'handoff.etcd', ['p50', 'p99', 'max']),
    spreadOf('wait, local', 'wait.local', ['p50', 'p99']),
    spreadOf('wait, replica', 'wait.replica', ['p50', 'p99']),
  ];
  return {
    title: 'Handoff under load, wait for durability, ms',
    about: 'median, p99 and, of handoffs, longest, on a logarithmic axis',
    rows: spreadRows(rows),
  };
}

function crashPanel(report: Report): Panel {
  const full = 3_000;
  const rows = ['file', 'etcd', 'redis'].flatMap((lease) => {
    const longest = findFigure(report, `crash.${lease}.max`);
    if (!longest) return [];
    const value = `${formatNumber(longest.value)} ${longest.unit}`;
    const share = longest.value / full;
    return [bar({ label: `${lease} lease`, share, target: scaled(longest, full), value })];
  });
  const crash = report.sections.find(({ id }) => id === 'crash');
  return {
    title: crash?.title ?? 'Crash of the primary',
    about: 'from kill -9 to the first commit on the next primary, longest',
    rows,
  };
}

function scaled(figure: Figure | undefined, full: number): number | undefined {
  return figure?.target && figure.target.value / full;
}

function perSecond(figure: Figure | undefined): string {
  return figure ? formatNumber(Number(figure.value.toPrecision(3))) : '';
}
