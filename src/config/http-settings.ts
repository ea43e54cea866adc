import type { Config } from './config.ts';
import { httpKeys } from './http-keys.ts';
import { type Given, readKey } from './setting.ts';

/** `[http]`, with its defaults. Those of a wait for a primary follow from `leaseTtlMs`, after which another node may lead. */
export function readHttp(givens: ReadonlyMap<string, Given>, leaseTtlMs: number): Config['http'] {
  return {
    listen: readKey(httpKeys.httpListen, givens),
    forward: readKey(httpKeys.httpForward, givens) ?? 'direct',
    database: readKey(httpKeys.httpDatabase, givens),
    primaryWaitMs: readKey(httpKeys.httpPrimaryWait, givens) ?? Math.max(5_000, 2 * leaseTtlMs),
    readWaitMs: readKey(httpKeys.httpReadWait, givens) ?? 5_000,
    durability: readKey(httpKeys.httpDurability, givens),
    durabilityWaitMs: readKey(httpKeys.httpDurabilityWait, givens) ?? 5_000,
    alwaysForward: readKey(httpKeys.httpAlwaysForward, givens) ?? [],
    passthrough: readKey(httpKeys.httpPassthrough, givens) ?? [],
    trustForwarded: readKey(httpKeys.httpTrustForwarded, givens) ?? 'private',
    replayBodyMax: readKey(httpKeys.httpReplayBodyMax, givens) ?? 1 << 20,
    headMax: readKey(httpKeys.httpHeadMax, givens) ?? 32_768,
    headTimeoutMs: readKey(httpKeys.httpHeadTimeout, givens) ?? 10_000,
    idleTimeoutMs: readKey(httpKeys.httpIdleTimeout, givens) ?? 60_000,
    progressTimeoutMs: readKey(httpKeys.httpProgressTimeout, givens) ?? 30_000,
    drainTimeoutMs: readKey(httpKeys.httpDrainTimeout, givens) ?? 10_000,
    maxLagMs: readKey(httpKeys.httpMaxLag, givens) ?? 10_000,
    connectionsMax: readKey(httpKeys.httpConnectionsMax, givens) ?? 10_000,
    appConnectionsMax: readKey(httpKeys.httpAppConnectionsMax, givens) ?? 10_000,
  };
}
