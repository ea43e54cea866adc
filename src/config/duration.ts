const unitMs: Readonly<Record<string, number>> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
const form = /^(?:\d{1,12}(?:\.\d{1,6})?(?:ms|s|m|h|d))+$/;
const part = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g;

/** The milliseconds in "300ms", "5s", "1m30s", "2h", "7d", or in plain seconds as fly.toml has them; else undefined. */
export function parseDurationMs(value: number | string): number | undefined {
  if (typeof value === 'number')
    return Number.isFinite(value) && value >= 0 ? Math.round(value * 1000) : undefined;
  const text = value.trim();
  if (/^\d{1,12}$/.test(text)) return Number(text) * 1000;
  if (!form.test(text)) return undefined;
  let ms = 0;
  for (const [, count, unit] of text.matchAll(part)) ms += Number(count) * (unitMs[unit ?? ''] ?? Number.NaN);
  return Math.round(ms);
}

/** The shortest exact text for a duration: 300000 is "5m". */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s';
  for (const [unit, size] of Object.entries(unitMs)) if (ms % size === 0) return `${ms / size}${unit}`;
  return `${ms}ms`;
}
