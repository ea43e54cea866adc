/** One broken rule. `path` is relative to the repository's root, `line` counts from 1. */
export interface Finding {
  path: string;
  line: number;
  rule: string;
  advice: string;
}

/** Tests may import anything and print; so may the code that only tests use. */
export function isTest(path: string): boolean {
  return path.startsWith('test/') || path.endsWith('.test.ts');
}
