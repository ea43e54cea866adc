import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { chartOf } from './chart.ts';
import { describeMachine } from './machine.ts';
import type { Measure } from './measure.ts';
import { measureBus } from './measure-bus.ts';
import { measureCrash } from './measure-crash.ts';
import { measureDoor } from './measure-door.ts';
import { measureHandoff } from './measure-handoff.ts';
import { measureIdle } from './measure-idle.ts';
import { measureInserts } from './measure-inserts.ts';
import { measureLag } from './measure-lag.ts';
import { measureMiddleware } from './measure-middleware.ts';
import { measureReads } from './measure-reads.ts';
import { measureSync } from './measure-sync.ts';
import { measureWait } from './measure-wait.ts';
import { reportLines } from './report.ts';
import { isMet, type Report, type Section } from './result.ts';

const measures: readonly Measure[] = [
  measureInserts,
  measureLag,
  measureReads,
  measureSync,
  measureIdle,
  measureHandoff,
  measureCrash,
  measureWait,
  measureDoor,
  measureMiddleware,
  measureBus,
];
const results = join(import.meta.dirname, 'results');

const help = `npm run bench -- [FLAGS]

  --quick         few and short rounds, 128 MiB in place of 1 GiB: about five minutes in place of thirty
  --only LIST     some measures only, by name: ${measures.map(({ id }) => id).join(', ')}
  --json FILE     where the figures go (bench/results/latest.json)
  --svg FILE      where the picture goes (bench/results/latest.svg)
  --dir DIR       where the databases lie while it runs (a new directory for temporary files)
  --profile DIR   writes a CPU profile of every node there, for Chromium's DevTools
  --help          this text
`;

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    json: { type: 'string', default: join(results, 'latest.json') },
    svg: { type: 'string', default: join(results, 'latest.svg') },
    dir: { type: 'string', default: tmpdir() },
    profile: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  process.stdout.write(help);
} else {
  const wanted = selectMeasures(values.only);
  if (wanted) {
    process.exitCode = await bench(wanted);
  } else {
    console.error(`--only takes some of ${measures.map(({ id }) => id).join(', ')}, separated by commas.`);
    process.exitCode = 2;
  }
}

/** The exit code says only whether it could be measured; a target that is missed is not a failure. */
async function bench(wanted: readonly Measure[]): Promise<number> {
  if (values.profile !== undefined) profileNodes(resolve(values.profile));
  const machine = describeMachine();
  const takenAt = new Date().toISOString();
  const directory = mkdtempSync(join(values.dir, 'skein-bench-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));
  const sections: Section[] = [];
  for (const measure of wanted) {
    const { quick } = values;
    sections.push(await measure.run({ directory, quick, progress: (text) => console.error(text) }));
  }
  const report: Report = { takenAt, quick: values.quick, machine, sections };
  console.log(reportLines(report).join('\n'));
  write(values.json, `${JSON.stringify(report, undefined, 2)}\n`);
  write(values.svg, chartOf(report));
  const missed = sections.flatMap(({ figures }) => figures).filter((figure) => isMet(figure) === false);
  console.log(`\n${missed.length === 0 ? 'All targets are met.' : `${missed.length} targets are missed.`}`);
  console.log(`${values.json}\n${values.svg}`);
  return 0;
}

function selectMeasures(only: string | undefined): readonly Measure[] | undefined {
  if (only === undefined) return measures;
  const names = only.split(',');
  const selected = measures.filter(({ id }) => names.includes(id));
  return selected.length === names.length ? selected : undefined;
}

/** Nodes inherit the variable; the measuring processes are too short-lived for it to matter. */
function profileNodes(directory: string): void {
  mkdirSync(directory, { recursive: true });
  process.env.NODE_OPTIONS =
    `${process.env.NODE_OPTIONS ?? ''} --cpu-prof --cpu-prof-dir=${directory}`.trim();
}

function write(path: string, text: string): void {
  mkdirSync(dirname(resolve(path)), { recursive: true });
  writeFileSync(path, text);
}
