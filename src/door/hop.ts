/** What one door tells the next, in a field that no client can send. */
export type Hop = {
  /** How many doors have passed the request on. */
  readonly count: number;
  /** `primary`: it belongs to whoever leads. `here`: to the app of the node that gets it. */
  readonly intent: 'primary' | 'here';
};

export const hopHeader = 'skein-hop';

export function hopLine({ count, intent }: Hop): string {
  return `${hopHeader}: ${count};${intent}\r\n`;
}

export function parseHop(text: string | undefined): Hop | undefined {
  const [, count, intent] = /^(\d{1,2});(primary|here)$/.exec(text ?? '') ?? [];
  if (count === undefined) return undefined;
  return { count: Number(count), intent: intent === 'here' ? 'here' : 'primary' };
}

/**
 * In an answer from one door to another: nothing was done, and the request belongs elsewhere soon. Its value is the mark that the
 * two agreed on when their tunnel opened, which no app knows.
 */
export const againHeader = 'skein-again';
