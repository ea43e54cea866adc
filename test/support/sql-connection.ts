import type { TestContext } from 'node:test';
import { type Language, Program } from './program.ts';

type Answer =
  | { readonly rows: readonly (readonly unknown[])[] }
  | { readonly error: string; readonly message: string };

const timeoutMs = 60_000;

/** A connection of an app in another process, which a test drives statement by statement. */
export class SqlConnection {
  readonly #program: Program;
  readonly #waiting: ((answer: Answer) => void)[] = [];

  constructor(t: TestContext, path: string, language: Language = 'python', busyTimeoutMs = 5_000) {
    this.#program = new Program(t, language, 'sql-client', [path, String(busyTimeoutMs)], (line) => {
      this.#waiting.shift()?.(JSON.parse(line));
    });
    void this.#program.ended.then((code) => {
      for (const settle of this.#waiting.splice(0)) {
        settle({ error: `ended with ${code}`, message: this.#program.complaints });
      }
    });
  }

  /** The rows that it gives. Rejects with SQLite's error. */
  async run(
    sql: string,
    ...parameters: readonly (string | number | null)[]
  ): Promise<readonly (readonly unknown[])[]> {
    const answer = await this.#ask(sql, parameters);
    if ('error' in answer) throw new Error(`${answer.error}: ${answer.message} (${sql.slice(0, 80)})`);
    return answer.rows;
  }

  /** The first column of the first row. */
  async value(sql: string): Promise<unknown> {
    return (await this.run(sql))[0]?.[0];
  }

  /** The name of the error that it gives, undefined for none. */
  async error(sql: string): Promise<string | undefined> {
    const answer = await this.#ask(sql, []);
    return 'error' in answer ? answer.error : undefined;
  }

  close(): Promise<void> {
    return this.#program.finish();
  }

  kill(): Promise<void> {
    return this.#program.kill();
  }

  #ask(sql: string, parameters: readonly unknown[]): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    const timer = setTimeout(
      () => resolve({ error: 'no answer', message: `within ${timeoutMs / 1000} s` }),
      timeoutMs,
    );
    this.#waiting.push(resolve);
    this.#program.send(`${JSON.stringify({ sql, parameters })}\n`);
    return promise.finally(() => clearTimeout(timer));
  }
}
