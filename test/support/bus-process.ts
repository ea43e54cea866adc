import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import type { TestContext } from 'node:test';
import { readLines } from './line-reader.ts';
import type { TestNode } from './test-node.ts';

const script = resolve(import.meta.dirname, 'bus-app.ts');

export type CallFailure = Error & {
  readonly code?: string;
  readonly result?: unknown;
  readonly stackThere?: string;
};

type Answer = { id: number; result?: unknown; error?: Record<string, string> };

/** A process of the app beside a node, with `skein/client` in it; it ends with the test. */
export class BusProcess {
  readonly name: string;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #complaints: string[] = [];
  #lastId = 0;

  constructor(t: TestContext, node: Pick<TestNode, 'name' | 'url' | 'path'>, name = node.name) {
    this.name = name;
    this.#child = spawn(process.execPath, [script, node.path('app.db'), name], {
      stdio: 'pipe',
      env: { ...process.env, SKEIN_API: node.url },
    });
    this.#child.stdin.on('error', () => undefined);
    readLines(this.#child.stdout, (line) => {
      const answer = JSON.parse(line) as Answer;
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
    readLines(this.#child.stderr, (line) => this.#complaints.push(line));
    this.#child.once('close', () => {
      const message = `process ${name} ended\n${this.#complaints.join('\n')}`;
      for (const settle of this.#waiting.values()) settle({ id: 0, error: { name: 'Ended', message } });
      this.#waiting.clear();
    });
    t.after(() => this.kill());
  }

  /** Has the process do something, and resolves to its result. Rejects with the error that it met. */
  do<Result>(command: string, ...args: unknown[]): Promise<Result> {
    const { promise, resolve: settle, reject } = Promise.withResolvers<Result>();
    this.#lastId += 1;
    this.#waiting.set(this.#lastId, ({ result, error }) => {
      if (!error) return settle(result as Result);
      const { stack: stackThere, ...parts } = error;
      reject(Object.assign(new Error(error.message), parts, { stackThere }) satisfies CallFailure);
    });
    this.#child.stdin.write(`${JSON.stringify({ id: this.#lastId, command, args })}\n`);
    return promise;
  }

  call<Result>(name: string, ...args: unknown[]): Promise<Result> {
    return this.do('call', name, args);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** As a debugger or a busy machine does. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }
}
