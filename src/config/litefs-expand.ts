/** `NAME == 'text'`, `NAME != "text"` and `NAME == OTHER` between the braces. */
const comparison = /^(\w+)\s*(==|!=)\s*(?:'(.*)'|"(.*)"|(\w+))$/;

/**
 * Replaces variables in the whole text of a litefs.yml, as LiteFS does: `$NAME`, `${NAME}`, and comparisons in braces, which
 * become `true` or `false`. A variable that is not set is an empty text. There is no way to write a dollar before a name.
 */
export function expandLiteFs(text: string, env: NodeJS.ProcessEnv): string {
  return text.replace(/\$(?:\{([^}\n]*)\}|(\w+))/g, (_match, inBraces?: string, bare?: string) =>
    evaluate((inBraces ?? bare ?? '').trim(), env),
  );
}

function evaluate(expression: string, env: NodeJS.ProcessEnv): string {
  const [, name = '', operator, single, double, other] = comparison.exec(expression) ?? [];
  if (operator === undefined) return env[expression] ?? '';
  const right = single ?? double ?? env[other ?? ''] ?? '';
  const areEqual = (env[name] ?? '') === right;
  return String(operator === '==' ? areEqual : !areEqual);
}
