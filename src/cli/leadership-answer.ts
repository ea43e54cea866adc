import { z } from 'zod';

/** What GET /leadership answers, as far as the command line looks at it. Further members are let through. */
export const leadershipAnswer = z.looseObject({
  epoch: z.number(),
  validForMs: z.number(),
  obstacle: z.string().nullable(),
  problem: z.string().nullable(),
  clockMs: z.number(),
});

export type LeadershipAnswer = z.infer<typeof leadershipAnswer>;
