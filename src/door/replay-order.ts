import type { Fields } from './fields.ts';

/** What an app's response says about where its request should have gone. */
export type ReplayOrder = {
  readonly toPrimary: boolean;
  readonly instance: string | undefined;
  /** The first that has a node is taken. */
  readonly regions: readonly string[];
  readonly app: string | undefined;
  /** To any node but this. */
  readonly elsewhere: boolean;
  /** Told to whoever gets the request. */
  readonly state: string | undefined;
};

/** Reads `skein-replay: primary`, or Fly's `fly-replay`; undefined where there is neither, or it says nothing that is known. */
export function replayOrderOf(fields: Fields): ReplayOrder | undefined {
  const none = { instance: undefined, regions: [], app: undefined, elsewhere: false, state: undefined };
  if (fields.get('skein-replay')?.toLowerCase() === 'primary') return { ...none, toPrimary: true };
  const text = fields.get('fly-replay');
  if (text === undefined) return undefined;
  const said = new Map<string, string>();
  for (const [, name, quoted, plain] of text.matchAll(/([a-z_]+)\s*=\s*(?:"([^"]*)"|([^;,\s]*))/gi))
    said.set(name.toLowerCase(), quoted ?? plain ?? '');
  const regions = (said.get('region') ?? '').split(',').map((one) => one.trim());
  const order: ReplayOrder = {
    toPrimary: false,
    instance: said.get('instance') ?? said.get('prefer_instance'),
    regions: regions.filter((one) => one !== ''),
    app: said.get('app'),
    elsewhere: said.get('elsewhere')?.toLowerCase() === 'true',
    state: said.get('state'),
  };
  const isKnown =
    order.instance !== undefined || order.regions.length > 0 || order.elsewhere || order.app !== undefined;
  return isKnown ? order : undefined;
}

/** The line that tells the next one where the request comes from. */
export function replaySourceLine(
  source: { readonly node: string; readonly region: string },
  state: string | undefined,
  nowMs: number,
): string {
  const said = [`instance=${source.node}`, `region=${source.region}`, `t=${Math.round(nowMs * 1_000)}`];
  if (state !== undefined) said.push(`state=${state}`);
  return `fly-replay-src: ${said.join(';')}\r\n`;
}
