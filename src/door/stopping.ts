import { againHeader } from './hop.ts';
import type { Answer } from './route.ts';

/** Of a node that ends, to a request that was given to nobody. With the mark, which another door made, that one sends it elsewhere. */
export function stopping(againMark: string | undefined): Answer {
  const mark = againMark === undefined ? '' : `${againHeader}: ${againMark}\r\n`;
  const body = 'This node is stopping. Try again.\n';
  return { kind: 'answer', status: 503, lines: `${mark}Retry-After: 1\r\n`, body };
}
