const unitBytes: Readonly<Record<string, number>> = {
  TiB: 1024 ** 4,
  GiB: 1024 ** 3,
  MiB: 1024 ** 2,
  KiB: 1024,
  TB: 1e12,
  GB: 1e9,
  MB: 1e6,
  kB: 1e3,
  B: 1,
};

const units = new Map(Object.entries(unitBytes).map(([unit, bytes]) => [unit.toLowerCase(), bytes]));

/** The bytes in "512MiB", "1.5 GB" or a plain number; else undefined. Units are those of IEC and SI, in any case. */
export function parseByteSize(value: number | string): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  const match = /^(\d{1,15}(?:\.\d{1,6})?)\s*([A-Za-z]{1,3})?$/.exec(value.trim());
  const factor = units.get((match?.[2] ?? 'B').toLowerCase());
  if (match === null || factor === undefined) return undefined;
  const bytes = Math.round(Number(match[1]) * factor);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The shortest exact text for a size: 1073741824 is "1GiB". */
export function formatByteSize(bytes: number): string {
  if (bytes === 0) return '0B';
  for (const [unit, size] of Object.entries(unitBytes))
    if (bytes % size === 0) return `${bytes / size}${unit}`;
  return `${bytes}B`;
}
