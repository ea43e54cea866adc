import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { type NodeView, type ScreenState, screen, shortPosition, statusLine, table } from './screen.ts';
import { textWidth } from './text-width.ts';

const position = { txid: '00000000000005a8', checksum: 'a1b2c3d4e5f60718' };
const sizes = [200, 120, 100, 84, 83, 60, 40, 20, 8, 1];

function node(name: string, city: string, isPrimary: boolean): NodeView {
  const worker = { name: 'worker', on: 'primary', state: isPrimary ? 'running' : 'stopped', restarts: 0 };
  return {
    name,
    city,
    transactionsPerSecond: 123.4,
    acknowledged: isPrimary ? undefined : '00000000000005a7/b1b2c3d4e5f60718',
    status: {
      node: name,
      pid: 1,
      role: isPrimary ? 'primary' : 'replica',
      epoch: 1,
      primary: { node: 'ams', url: 'http://127.0.0.1:20201' },
      databases: { 'cities.db': { ...position, lagMs: 0.42 } },
      replicas: [],
      processes: [{ name: 'web', on: 'all', state: 'running', restarts: 2 }, worker],
    },
  };
}

const state: ScreenState = {
  nodes: [
    node('ams', 'Amsterdam', true),
    node('ord', 'Chicago', false),
    { name: 'syd', city: 'Sydney', trouble: 'ended by SIGKILL' },
  ],
  upMs: 3_725_000,
  places: ['ams  http://127.0.0.1:8081', 'ord  http://127.0.0.1:8082'],
  log: Array.from({ length: 100 }, (_, index) => ({ node: 'ams', text: `line ${index} 東京 São Paulo` })),
  happened: 'syd was killed',
  keys: 'Ctrl-C stops',
};

test('a screen says of each node its role, position, lag, rate, acknowledgement and processes', () => {
  const lines = screen(state, { columns: 120, rows: 30, color: false });
  const [, , headings, ams, ord, syd] = lines.map((line) => line.split(/ {2,}/));
  assert.deepEqual(headings, ['node', 'role', 'position', 'lag', 'tx/s', 'acknowledged', 'processes']);
  const short = '5a8/a1b2c3d4';
  const primaryProcesses = 'web running (2 restarts), worker running';
  assert.deepEqual(ams, ['ams Amsterdam', 'primary', short, '-', '123', '-', primaryProcesses]);
  const replicaProcesses = 'web running (2 restarts)';
  assert.deepEqual(ord, ['ord Chicago', 'replica', short, '0.4 ms', '123', '5a7/b1b2c3d4', replicaProcesses]);
  assert.deepEqual(syd, ['syd Sydney', 'unknown', '-', '-', '-', '-', 'ended by SIGKILL']);
  assert.match(lines[0] ?? '', /up 1 h 2 min/);
});

test('no line is wider than the terminal and none is too many, whatever its size', () => {
  for (const columns of sizes) {
    for (const rows of [1, 3, 8, 12, 24, 60]) {
      for (const color of [true, false]) {
        const lines = screen(state, { columns, rows, color });
        assert.ok(lines.length <= rows, `${lines.length} lines in ${rows} rows`);
        for (const line of lines) {
          assert.ok(textWidth(stripVTControlCharacters(line)) <= columns, `${columns}: ${line}`);
        }
      }
    }
  }
});

test('a narrow terminal still shows role, position and processes of each node', () => {
  const text = screen(state, { columns: 60, rows: 24, color: false }).join('\n');
  assert.match(text, /ams Amsterdam {2}primary {2}web running \(2 restarts\), worker/);
  assert.match(text, /5a8\/a1b2c3d4 {2}lag 0\.4 ms {2}123 tx\/s/);
  assert.match(text, /syd Sydney {2}unknown {2}ended by SIGKILL/);
});

test('what happened and the keys are the last two lines, in a low terminal too', () => {
  for (const rows of [9, 12, 24, 60]) {
    const lines = screen(state, { columns: 100, rows, color: false });
    assert.deepEqual(lines.slice(-2), ['syd was killed', 'Ctrl-C stops'], `${rows} rows`);
    assert.ok(lines.some((line) => line.startsWith('syd Sydney')));
  }
});

test('where there are keys the node that they act on is marked, in a wide and in a narrow terminal', () => {
  for (const columns of [100, 60]) {
    const lines = screen({ ...state, chosen: 'ord' }, { columns, rows: 30, color: false });
    assert.deepEqual(
      lines.filter((line) => line.startsWith('>')).map((line) => line.slice(0, 13)),
      ['> ord Chicago'],
    );
    assert.ok(lines.some((line) => line.startsWith('  ams Amsterdam')));
  }
});

test('colour codes are only there when colour is on, and always ended', () => {
  const plain = screen(state, { columns: 100, rows: 30, color: false }).join('\n');
  assert.equal(stripVTControlCharacters(plain), plain);
  const colored = screen(state, { columns: 100, rows: 30, color: true });
  assert.ok(colored.some((line) => line.includes('\u001b[31mended by SIGKILL')));
  assert.equal(stripVTControlCharacters(colored.join('\n')), plain);
  for (const line of colored.filter((text) => text.includes('\u001b'))) {
    assert.equal(line.split('\u001b[').length % 2, 1, line);
  }
});

test('the last lines of the log fill what is left of the screen', () => {
  const lines = screen(state, { columns: 100, rows: 30, color: false });
  assert.equal(lines.length, 30);
  assert.equal(lines.at(-4), 'ams line 99 東京 São Paulo');
  const low = screen(state, { columns: 100, rows: 12, color: false });
  assert.equal(low.at(-4), 'ams line 99 東京 São Paulo');
  assert.ok(!low.some((line) => line.includes('http://')));
});

test('a replica that has lost its primary is shown as such', () => {
  const alone = node('ord', 'Chicago', false);
  if (alone.status) alone.status.primary = null;
  assert.match(table([alone], { columns: 100, color: false })[1] ?? '', /replica, alone/);
});

test('the status line has every node, with or without a status', () => {
  assert.equal(
    statusLine(state.nodes),
    'ams primary 5a8/a1b2c3d4 123 tx/s | ord replica 5a8/a1b2c3d4 lag 0.4 ms | syd ended by SIGKILL',
  );
});

test('a short position keeps one digit of the number, and a missing one is a dash', () => {
  assert.equal(shortPosition('0000000000000000/8000000000000000'), '0/80000000');
  assert.equal(shortPosition(undefined), '-');
});
