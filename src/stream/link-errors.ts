import { type ErrorCode, exitCodes, messageOf, SkeinError } from '../base/errors.ts';

/** What the primary refused this node with. A code of a later version is taken for a primary out of reach. */
export function refusal(code: string, message: string): SkeinError {
  const known = Object.hasOwn(exitCodes, code) ? (code as ErrorCode) : 'PRIMARY_UNREACHABLE';
  return new SkeinError(known, message);
}

/** The upgrade was answered with a status of HTTP. */
export function refusedBy(url: string, status: number | undefined): SkeinError {
  if (status === 401) {
    return new SkeinError(
      'SECRET_WRONG',
      `The primary at ${url} refuses this node's secret. Give all nodes of the app the same [node] secret (SKEIN_NODE_SECRET).`,
    );
  }
  if (status === 421 || status === 503) {
    return new SkeinError(
      'NOT_PRIMARY',
      `The node at ${url} is not the primary. With [lease] type = "static", set [lease] primary to the URL of the node that is.`,
    );
  }
  return new SkeinError(
    'PRIMARY_UNREACHABLE',
    `What answers at ${url} is not a Skein node (HTTP status ${status}). Check [lease] primary.`,
  );
}

export function unreachable(url: string, cause: Error): SkeinError {
  return new SkeinError(
    'PRIMARY_UNREACHABLE',
    `The primary at ${url} cannot be reached: ${cause.message || messageOf((cause as { code?: unknown }).code)}.`,
    {
      cause,
    },
  );
}

/** A primary that does not know yet that another leads by now. */
export function outdated(url: string, epoch: number): SkeinError {
  return new SkeinError(
    'LEASE_LOST',
    `The node at ${url} led in epoch ${epoch}, which is over. It is tried again until one leads.`,
  );
}
