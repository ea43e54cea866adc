import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { skipWithout } from '../test/tools.ts';

const program = join(import.meta.dirname, 'start.ts');
/** Runs its arguments in a terminal of their own, whose settings afterwards are the last thing that it prints. */
const inTerminal = `
import pty, sys
pty.spawn(["/bin/sh", "-c", 'stty rows 40 cols 120; "$@"; echo "exit code $?"; stty -a', "sh", *sys.argv[1:]])
`;

/** A run of the program, with everything that it has shown. */
class Run {
  readonly #child: ChildProcessWithoutNullStreams;
  #output = '';
  /** From where on `shows` looks: what was shown before is not what comes next. */
  #from = 0;
  readonly ended: Promise<unknown>;

  /** `stop` is what ends it when the test fails half-way. */
  constructor(t: TestContext, command: string, parameters: string[], stop: 'SIGTERM' | 'q') {
    this.#child = spawn(command, parameters, {
      stdio: 'pipe',
      env: { ...process.env, TERM: 'xterm', NO_COLOR: '1' },
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
    this.ended = once(this.#child, 'close');
    t.after(async () => {
      if (stop === 'SIGTERM') this.#child.kill(stop);
      else if (this.exitCode === null) this.#child.stdin.write(stop);
      await this.ended;
    });
  }

  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  get text(): string {
    return stripVTControlCharacters(this.#output);
  }

  press(keys: string): void {
    this.#from = this.#output.length;
    this.#child.stdin.write(keys);
  }

  /** Resolves when the text appears after the last key. */
  async shows(text: RegExp): Promise<void> {
    while (!text.test(stripVTControlCharacters(this.#output.slice(this.#from)))) {
      if (this.exitCode !== null) throw new Error(`it ended before it showed ${text}:\n${this.text}`);
      await Promise.race([once(this.#child.stdout, 'data'), this.ended]);
    }
  }
}

function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'start-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

test('a run with --once changes who leads by hand and by kill -9, and finds every acknowledged visit', async (t) => {
  const directory = temporaryDirectory(t);
  const run = new Run(t, process.execPath, [program, '--once', '--dir', directory], 'SIGTERM');
  await run.ended;
  assert.equal(run.exitCode, 0, run.text);
  assert.match(run.text, /300 visits written on ams in \d+ ms/);
  assert.match(run.text, /ams handed over to ord in \d+ ms, while visits came in/);
  assert.match(run.text, /(ams|syd) leads \d+\.\d s after ord was killed with -9/);
  assert.match(run.text, /none of \d+ acknowledged visits is missing, on any node/);
});

test('keys on the live screen kill, pause and bring back nodes and hand over, and the terminal is left as it was', {
  skip: skipWithout('python3'),
}, async (t) => {
  const directory = temporaryDirectory(t);
  const command = ['-c', inTerminal, process.execPath, program, '--dir', directory];
  const run = new Run(t, 'python3', command, 'q');
  await run.shows(/> ams Amsterdam +primary .*running[^>]*syd Sydney +replica .*web running/);
  run.press('k');
  await run.shows(/> ams Amsterdam +unknown .*ended by SIGKILL/);
  await run.shows(/(ord|syd) leads since [\d:]{8}, \d+\.\d s after ams was killed/);
  run.press('b');
  await run.shows(/ams follows (ord|syd), \d+\.\d s after it was started/);
  run.press('h');
  await run.shows(/ams leads since [\d:]{8}: (ord|syd) handed over in \d+ ms/);
  run.press('2p');
  await run.shows(/> ord Chicago +unknown .*paused/);
  run.press('p');
  await run.shows(/ord follows ams, \d+\.\d s after it went on/);
  run.press('p');
  await run.shows(/ord was paused/);
  run.press('q');
  await run.ended;
  assert.match(run.text, /stopped\s+exit code 0\s/);
  const settings = run.text.slice(run.text.lastIndexOf('exit code'));
  for (const setting of ['icanon', 'echo', 'isig']) {
    assert.match(settings, new RegExp(`(?<!-)\\b${setting}\\b`), settings);
  }
});
