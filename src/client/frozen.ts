/** The value, with everything in it made read-only: it is shared within the process, and a change in place would not leave it. */
export function frozen(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  for (const member of Object.values(value)) frozen(member);
  return Object.freeze(value);
}
