import { z } from 'zod';

const replica = z.looseObject({
  node: z.string(),
  region: z.string(),
  candidate: z.boolean().nullish(),
  connected: z.boolean(),
  acknowledged: z.record(z.string(), z.string()),
});

const appProcess = z.looseObject({
  name: z.string(),
  on: z.string(),
  state: z.string(),
  pid: z.number().nullish(),
  restarts: z.number().nullish(),
});

const database = z.looseObject({
  txid: z.string(),
  checksum: z.string(),
  lagMs: z.number().nullish(),
  problem: z.string().nullish(),
});

/** What GET /status answers, as far as the command line shows it. Further members are let through. */
export const statusAnswer = z.looseObject({
  node: z.string(),
  pid: z.number(),
  app: z.string(),
  region: z.string(),
  role: z.enum(['primary', 'replica']),
  primary: z.looseObject({ node: z.string().nullish(), url: z.string() }).nullable(),
  epoch: z.number(),
  databases: z.record(z.string(), database),
  refused: z.record(z.string(), z.string()).nullish(),
  replicas: z.array(replica).nullish(),
  processes: z.array(appProcess).nullish(),
});

export type StatusAnswer = z.infer<typeof statusAnswer>;
