import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import type { TestContext } from 'node:test';
import { readLines } from './line-reader.ts';

export type Language = 'python' | 'node';

/** A program of this folder in one of two languages, as a process of its own that ends with its input, or with the test. */
export class Program {
  readonly label: string;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #complaints: string[] = [];
  readonly ended: Promise<number | null>;

  constructor(
    t: TestContext,
    language: Language,
    script: string,
    args: readonly string[],
    line: (text: string) => void,
  ) {
    this.label = `${script} (${language})`;
    const path = resolve(import.meta.dirname, `${script}.${language === 'python' ? 'py' : 'ts'}`);
    const command = language === 'python' ? ['python3', path] : [process.execPath, path];
    this.#child = spawn(command[0], [...command.slice(1), ...args], { stdio: 'pipe' });
    // A write to one that has just ended is told by its end.
    this.#child.stdin.on('error', () => undefined);
    this.#child.once('error', (error) => this.#complaints.push(String(error)));
    readLines(this.#child.stdout, line);
    readLines(this.#child.stderr, (text) => {
      if (!/ExperimentalWarning|--trace-warnings/.test(text)) this.#complaints.push(text);
    });
    this.ended = new Promise((settle) => {
      this.#child.once('close', (code) => settle(code));
    });
    t.after(() => this.kill());
  }

  /** What it wrote to its standard error. */
  get complaints(): string {
    return this.#complaints.join('\n');
  }

  send(text: string): void {
    this.#child.stdin.write(text);
  }

  /** Ends its input and waits for it. Rejects when it failed or does not end. */
  async finish(): Promise<void> {
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 40_000);
    const code = await this.ended;
    clearTimeout(timer);
    if (code !== 0) throw new Error(`${this.label} ended with ${code}\n${this.complaints}`);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended;
  }
}
