/** Whether a path is like one of these, in which `*` stands for any text and nothing else is special. */
export function compileGlobs(globs: readonly string[]): (path: string) => boolean {
  if (globs.length === 0) return () => false;
  const patterns = globs.map((glob) =>
    glob
      .split('*')
      .map((text) => text.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*'),
  );
  const pattern = new RegExp(`^(?:${patterns.join('|')})$`, 's');
  return (path) => pattern.test(isPlain(path) ? path : resolved(path));
}

function isPlain(path: string): boolean {
  return !path.includes('%') && !path.includes('/.') && !path.includes('//');
}

/** As an app reads it: `/a/../%62` is `/b`. */
function resolved(path: string): string {
  let text = path;
  try {
    text = decodeURIComponent(path);
  } catch {
    // As it is.
  }
  const parts: string[] = [];
  for (const part of text.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.' && part !== '') parts.push(part);
  }
  return `/${parts.join('/')}${/\/\.{0,2}$/.test(text) && parts.length > 0 ? '/' : ''}`;
}
