export type Expansion = { readonly text: string; readonly expanded: boolean } | { readonly unset: string };

/**
 * Replaces `$NAME` and `${NAME}` by the variables of `env`; `$$` is one dollar, and a dollar before anything else
 * stays as it is. The first variable that is not set is returned as `unset`.
 */
export function expand(text: string, env: NodeJS.ProcessEnv): Expansion {
  let unset: string | undefined;
  let expanded = false;
  const result = text.replace(
    /\$(?:\$|\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))/g,
    (match, inBraces?: string, bare?: string) => {
      if (match === '$$') return '$';
      const name = inBraces ?? bare ?? '';
      const value = env[name];
      if (value === undefined) unset ??= name;
      expanded = true;
      return value ?? '';
    },
  );
  return unset === undefined ? { text: result, expanded } : { unset };
}
