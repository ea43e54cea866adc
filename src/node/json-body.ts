import type { IncomingMessage } from 'node:http';
import type { z } from 'zod';
import { SkeinError } from '../base/errors.ts';

const bodyBytesMax = 64 * 1024;

/** The body of a request as the schema has it; none stands for `{}`. Rejects with `USAGE`, which shows `example`. */
export async function readJson<T>(
  request: IncomingMessage,
  schema: z.ZodType<T>,
  example: string,
): Promise<T> {
  const text = await readText(request);
  let body: unknown;
  try {
    body = JSON.parse(text === '' ? '{}' : text);
  } catch (error) {
    throw new SkeinError('USAGE', `The body is not JSON. Send ${example}.`, { cause: error });
  }
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new SkeinError('USAGE', `${issue.path.join('.') || 'The body'}: ${issue.message}.`);
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) throw new SkeinError('USAGE', `The body is over ${bodyBytesMax} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
