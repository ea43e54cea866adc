import { placeholderOf } from './node-variables.ts';

export type Expansion = { readonly text: string; readonly expanded: boolean } | { readonly unset: string };

/**
 * Replaces `$NAME` and `${NAME}` by the variables of `env`; `$$` is one dollar, and a dollar before anything else
 * stays as it is. The first variable that is not set is returned as `unset`. For those in `given`, their placeholder is put.
 */
export function expand(
  text: string,
  env: NodeJS.ProcessEnv,
  given: ReadonlySet<string> = new Set(),
): Expansion {
  let unset: string | undefined;
  let expanded = false;
  const result = text.replace(
    /\$(?:\$|\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))/g,
    (match, inBraces?: string, bare?: string) => {
      if (match === '$$') return '$';
      const name = inBraces ?? bare ?? '';
      if (given.has(name)) return placeholderOf(name);
      const value = env[name];
      if (value === undefined) unset ??= name;
      expanded = true;
      return value ?? '';
    },
  );
  return unset === undefined ? { text: result, expanded } : { unset };
}
