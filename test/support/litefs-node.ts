import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { TestContext } from 'node:test';
import { readLines } from './line-reader.ts';
import { waitFor } from './wait-for.ts';

const skein = resolve(import.meta.dirname, '../../bin/skein');

export type LiteFsNodeOptions = {
  readonly directory: string;
  readonly port: number;
  /** The text of its litefs.yml. */
  readonly config: string;
  readonly environment?: Readonly<Record<string, string>>;
};

export type LiteFsInfo = {
  readonly isPrimary: boolean;
  readonly candidate: boolean;
  readonly path: string;
  readonly primary?: { readonly hostname: string };
};

/** A node that has nothing but a litefs.yml, run by `skein mount` in a directory of its own. */
export class LiteFsNode {
  readonly url: string;
  readonly directory: string;
  readonly lines: string[] = [];
  readonly #options: LiteFsNodeOptions;
  #child: ChildProcess | undefined;

  constructor(t: TestContext, options: LiteFsNodeOptions) {
    this.#options = options;
    this.directory = options.directory;
    this.url = `http://127.0.0.1:${options.port}`;
    mkdirSync(options.directory, { recursive: true });
    writeFileSync(join(options.directory, 'litefs.yml'), options.config);
    t.after(() => this.end('SIGKILL'));
  }

  path(file: string): string {
    return join(this.directory, 'fuse', file);
  }

  /** Starts it without waiting for anything; resolves to its exit code. */
  async mount(...argv: readonly string[]): Promise<number | null> {
    const child = this.#spawn(['mount', ...argv]);
    this.#child = child;
    const [code] = await once(child, 'close');
    if (this.#child === child) this.#child = undefined;
    return code;
  }

  /** Waits until it prints a line like this. */
  async printed(pattern: RegExp): Promise<string> {
    const found = () => this.lines.find((line) => pattern.test(line));
    return waitFor(`a line like ${pattern}`, found, { state: () => this.lines.slice(-25).join('\n') });
  }

  async info(): Promise<LiteFsInfo | undefined> {
    const answer = await fetch(`${this.url}/info`).catch(() => undefined);
    return answer?.ok ? ((await answer.json()) as LiteFsInfo) : undefined;
  }

  /** Runs another verb in its directory. */
  async skein(...argv: readonly string[]): Promise<{ code: number | null; output: string }> {
    const output: string[] = [];
    const child = this.#spawn(argv, output);
    const [code] = await once(child, 'close');
    return { code, output: output.join('\n') };
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (!child) return;
    child.kill(signal);
    await once(child, 'close');
  }

  #spawn(argv: readonly string[], lines: string[] = this.lines): ChildProcess {
    const inherited = Object.entries(process.env).filter(
      ([key]) => !/^(?:SKEIN|FLY|NODE|HOSTNAME|PORT)/.test(key),
    );
    const env = { ...Object.fromEntries(inherited), HOME: this.directory, ...this.#options.environment };
    const child = spawn(skein, argv, { cwd: this.directory, env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) readLines(stream, (line) => lines.push(line));
    return child;
  }
}
