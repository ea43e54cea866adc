/** Where this process's node is, as the supervisor told it. */
export type Place = {
  /** The databases; undefined where only the API is known. */
  readonly directory: string;
  readonly api: URL;
  readonly token: string | undefined;
  readonly node: string;
  readonly region: string;
};

/**
 * Undefined for a process that no node runs: then everything behaves as on a primary that is alone. `SKEIN_DIR` comes before
 * LiteFS's `LITEFS_DIR`; without `SKEIN_API` there is no node to ask.
 */
export function placeOf(environment: Readonly<Record<string, string | undefined>>): Place | undefined {
  const { SKEIN_DIR, LITEFS_DIR, SKEIN_API, SKEIN_TOKEN, SKEIN_REGION, FLY_MACHINE_ID } = environment;
  const directory = SKEIN_DIR ?? LITEFS_DIR;
  if (!directory || !SKEIN_API || !URL.canParse(SKEIN_API)) return undefined;
  return {
    directory,
    api: new URL(SKEIN_API),
    token: SKEIN_TOKEN || undefined,
    node: FLY_MACHINE_ID ?? '',
    region: SKEIN_REGION ?? '',
  };
}
