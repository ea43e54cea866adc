import type { Config } from '../config/config.ts';

/** Who leads, as far as a fixed primary needs it. */
export type Leadership = {
  readonly isPrimary: boolean;
  /** The primary's API; undefined on the primary itself. */
  readonly primaryUrl: string | undefined;
  readonly epoch: number;
};

/** One fixed primary: the node whose advertised origin is `[lease] primary`, or the only node. It never changes. */
export function staticLeadership(config: Config): Leadership {
  const { primary } = config.lease;
  const isPrimary = primary === undefined || primary === config.node.advertise;
  return { isPrimary, primaryUrl: isPrimary ? undefined : primary, epoch: 1 };
}
