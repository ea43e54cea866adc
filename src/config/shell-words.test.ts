import assert from 'node:assert/strict';
import { test } from 'node:test';
import { splitShellWords } from './shell-words.ts';

test('blanks part words; quotes and backslashes keep them together', () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ['node  server.js --port 80', ['node', 'server.js', '--port', '80']],
    [`sh -c 'a && "b"' ''`, ['sh', '-c', 'a && "b"', '']],
    ['echo "a \\"b\\" c" d\\ e f\'g\'"h"', ['echo', 'a "b" c', 'd e', 'fgh']],
    ['echo $HOME ~ *', ['echo', '$HOME', '~', '*']],
    ['  ', []],
  ];
  for (const [command, words] of cases) assert.deepEqual(splitShellWords(command), words, command);
});

test('what only a shell can run is no list of words', () => {
  for (const command of ['a && b', 'a | b', 'a > b', 'a; b', 'echo `b`', 'echo $(b)', "echo 'b", 'a \\'])
    assert.equal(splitShellWords(command), undefined, command);
});
