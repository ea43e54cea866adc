import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'smol-toml';
import { TomlLines } from './toml-lines.ts';

const sample = `# a comment with [brackets] and "quotes
app = "a # no comment"
text = """
[not.a.section]
key = 1 ""\\""" quotes"""
literal = '''
app = 2
'''''
[http_service]
  internal_port = 8080 # port
  "quoted \\"key\\"" = [1, [2, 3],
    { inner = 1, other = "]" },
  ]
  concurrency.soft_limit = 5
[http_service.checks.'odd name']
path = "/"
[[services]]
port = 1
[[services.ports]]
port = 80
[[services.ports]]
port = 443
[[services]]
port = 2
[last]\r
key = 1\r
`;

test('every kind of key is found on its line', () => {
  const lines = new TomlLines(sample);
  const cases: [(string | number)[], number][] = [
    [['app'], 2],
    [['text'], 3],
    [['literal'], 6],
    [['http_service'], 9],
    [['http_service', 'internal_port'], 10],
    [['http_service', 'quoted "key"'], 11],
    [['http_service', 'quoted "key"', 2, 'inner'], 12],
    [['http_service', 'concurrency', 'soft_limit'], 14],
    [['http_service', 'checks', 'odd name', 'path'], 16],
    [['services', 0, 'port'], 18],
    [['services', 0, 'ports', 0, 'port'], 20],
    [['services', 0, 'ports', 1, 'port'], 22],
    [['services', 1, 'port'], 24],
    [['last', 'key'], 26],
  ];
  for (const [path, line] of cases) assert.equal(lines.lineOf(path), line, path.join('.'));
});

test('a path that is not there gets the line of its nearest parent, or the first', () => {
  const lines = new TomlLines(sample);
  assert.equal(lines.lineOf(['http_service', 'nothing']), 9);
  assert.equal(lines.lineOf(['nothing']), 1);
});

test('no text breaks the scanner', () => {
  const piece = fc.constantFrom(...'[]{}"\'\\#=.,\n\r\t a1-', '"""', "'''", '[[', ']]', '\uFEFF', '\uD800');
  const tomlLike = fc.array(piece, { maxLength: 60 }).map((pieces) => pieces.join(''));
  fc.assert(
    fc.property(fc.oneof(tomlLike, fc.string({ unit: 'binary' })), (text) => {
      const line = new TomlLines(text).lineOf(['a', 1]);
      assert.ok(line >= 1 && line <= text.split('\n').length);
    }),
    { numRuns: 2000 },
  );
});

test('text nested a hundred thousand deep breaks nothing either', () => {
  for (const text of ['[', 'a=[', 'a={b=', 'a.', '[[a.']) {
    assert.equal(new TomlLines(text.repeat(100_000)).lineOf(['a']), 1);
  }
});

test('every key of a written TOML text is found on a line that holds it', () => {
  const name = fc.stringMatching(/^[a-z]{1,8}[ ."]?$/);
  const leaf = fc.oneof(fc.integer(), fc.boolean(), fc.string());
  const value = fc.oneof(
    leaf,
    fc.dictionary(name, leaf),
    fc.array(fc.dictionary(name, leaf), { minLength: 1 }),
  );
  fc.assert(
    fc.property(fc.dictionary(name, value), (table) => {
      const text = stringify(table);
      const lines = new TomlLines(text);
      for (const key of Object.keys(table)) {
        const line = text.split('\n')[lines.lineOf([key]) - 1] ?? '';
        assert.ok(line.includes(key) || line.includes(JSON.stringify(key).slice(1, -1)), `${key} in ${line}`);
      }
    }),
    { numRuns: 300 },
  );
});
