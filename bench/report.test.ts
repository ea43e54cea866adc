import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chartOf } from './chart.ts';
import { spreadRows } from './chart-rows.ts';
import { figureOf } from './measure.ts';
import { formatNumber, reportLines, verdictOf } from './report.ts';
import { type Figure, isMet, type Report } from './result.ts';

const rate = { id: 'inserts.normal.plain.rate', label: 'NORMAL: plain SQLite', unit: 'inserts/s' };
const ratio: Figure = {
  id: 'inserts.normal.one-replica.ratio',
  label: '  of plain SQLite',
  unit: 'times',
  value: 0.65,
  target: { bound: 'at least', value: 0.7 },
};

const report: Report = {
  takenAt: '2026-01-02T03:04:05.000Z',
  quick: true,
  machine: {
    processor: 'A <fast> & good one',
    cores: 2,
    memoryBytes: 8 * 2 ** 30,
    kernel: 'Linux 6.1',
    node: '24.15.0',
    sqlite: '3.53.0',
    loadBefore: 0.5,
  },
  sections: [
    {
      id: 'inserts',
      title: 'Small inserts',
      about: 'words '.repeat(40).trim(),
      figures: [figureOf(rate, [50_000, 40_000, 70_000]), ratio],
    },
  ],
};

test('a figure is the median of its rounds, with the lowest and the highest', () => {
  assert.deepEqual(figureOf(rate, [3, 1, 2]), { ...rate, value: 2, min: 1, max: 3 });
  assert.deepEqual(figureOf(rate, [3]), { ...rate, value: 3 });
});

test('a target is met on its own side of the bound, and at the bound', () => {
  assert.equal(isMet(ratio), false);
  assert.equal(isMet({ ...ratio, value: 0.7 }), true);
  assert.equal(isMet({ ...ratio, target: { bound: 'at most', value: 0.7 } }), true);
  assert.equal(isMet({ ...ratio, target: undefined } as Figure), undefined);
});

test('a missed target says by how much, a far one how many times', () => {
  assert.equal(verdictOf(ratio), 'missed by 7 %');
  assert.equal(verdictOf({ ...ratio, value: 0.9 }), 'met');
  assert.equal(
    verdictOf({ ...ratio, value: 50, target: { bound: 'at most', value: 5 } }),
    'missed: 10 times it',
  );
});

test('numbers have three digits that count, and commas between thousands', () => {
  assert.deepEqual([54_212.4, 129, 12.34, 0.794, 0.00512, 0].map(formatNumber), [
    '54,212',
    '129',
    '12.3',
    '0.794',
    '0.005',
    '0',
  ]);
});

test('the table shows every figure with its spread, target and verdict, in columns', () => {
  const lines = reportLines(report);
  const [first, second] = lines.slice(-2);
  assert.match(first, /^NORMAL: plain SQLite {2}50,000 inserts\/s {2,}40,000 to 70,000$/);
  assert.match(second, /^ {2}of plain SQLite .* 0\.65 times .*≥ 0\.7 {3}missed by 7 %$/);
  assert.ok(lines.every((line) => line.length <= 110));
});

test('the picture is well-formed, shows what was measured, and escapes what it did not write', () => {
  const svg = chartOf(report);
  assert.match(svg, /Small inserts per second/);
  assert.match(svg, /A &lt;fast&gt; &amp; good one/);
  assert.doesNotMatch(svg, /Point reads|NaN|undefined/);
  const opened = [...svg.matchAll(/<(\w+)(?:\s[^>]*[^/])?>/g)].map(([, tag]) => tag);
  const closed = [...svg.matchAll(/<\/(\w+)>/g)].map(([, tag]) => tag);
  assert.deepEqual(opened.sort(), closed.sort());
});

test('a spread has a mark for each figure and each target on one axis, and no row where something was not measured', () => {
  const target = { bound: 'at most', value: 10 } as const;
  const figures: Figure[] = [
    { id: 'handoff.file.p50', label: '', unit: 'ms', value: 5, target },
    { id: 'handoff.file.max', label: '', unit: 'ms', value: 40 },
  ];
  const rows = spreadRows([
    { label: 'handoff', figures },
    { label: 'not measured', figures: [undefined, undefined] },
  ]);
  assert.equal(rows.length, 2, 'the row and the axis');
  assert.equal(rows[0].match(/<circle/g)?.length, 2);
  assert.equal(rows[0].match(/class="target"/g)?.length, 1);
  assert.match(rows[0], />5 · 40<\/text>/);
  assert.deepEqual(spreadRows([{ label: 'not measured', figures: [undefined] }]), []);
});
