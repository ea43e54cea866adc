import { createHash } from 'node:crypto';

/**
 * The id that LiteFS's API knows a node by: 16 upper-case hexadecimal digits. Made from the names, so that every node knows those
 * of all others.
 */
export function liteFsIdOf(app: string, node: string): string {
  return digits(`node\n${app}\n${node}`);
}

/** The same of the cluster, in LiteFS's form. */
export function liteFsClusterIdOf(app: string): string {
  return `LFSC${digits(`cluster\n${app}`)}`;
}

function digits(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16).toUpperCase();
}
