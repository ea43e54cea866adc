import { relative } from 'node:path';
import { Readable } from 'node:stream';
import { spec, type TestEvent } from 'node:test/reporters';

/** For logs: a line per file, then what was skipped or failed, and the runner's own summary at the end. */
export default async function* summaryReporter(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const text of Readable.from(withoutPasses(events)).compose(new spec())) yield String(text);
}

async function* withoutPasses(events: AsyncIterable<TestEvent>): AsyncGenerator<TestEvent> {
  for await (const event of events) {
    if (event.type === 'test:start') continue;
    if (event.type === 'test:pass' && !event.data.skip && !event.data.todo) continue;
    yield event;
    if (event.type === 'test:summary' && event.data.file !== undefined) {
      yield { type: 'test:diagnostic', data: fileLine(event.data.file, event.data) };
    }
  }
}

function fileLine(
  file: string,
  { counts, duration_ms: durationMs }: { counts: { tests: number }; duration_ms: number },
) {
  const path = relative(process.cwd(), file);
  const message = `${path}: ${counts.tests} tests, ${Math.round(durationMs)} ms`;
  return { file, nesting: 0, message, level: 'info' as const };
}
