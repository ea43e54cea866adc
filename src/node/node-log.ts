import pino from 'pino';
import type { OutputPrinter } from '../supervisor/process-output.ts';

export type Notice = (message: string, fields?: Record<string, unknown>) => void;

/** The node's own log: one line each, in the same form as the output of the app's processes. */
export type NodeLog = { readonly notice: Notice; readonly warn: Notice };

export const nodeLogName = 'skein';
const textMax = 2_000;

/** Prints through `print` under the name "skein". A field that is named like a secret is never printed. */
export function createNodeLog(print: OutputPrinter): NodeLog {
  const logger = pino(
    {
      base: undefined,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: ['secret', '*.secret', 'authorization'],
    },
    { write: (line: string) => void print(nodeLogName, asText(line)) },
  );
  return {
    notice: (message, fields) => logger.info(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
  };
}

function asText(line: string): string {
  const { time, level, msg, ...fields } = JSON.parse(line);
  const details = Object.entries(fields).map(([key, value]) => `${key}=${fieldText(value)}`);
  const mark = level >= 40 ? 'warning: ' : '';
  return [`${String(time).slice(11, 23)} ${mark}${msg}`, ...details].join(' ').slice(0, textMax);
}

function fieldText(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}
