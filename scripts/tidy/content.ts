import type { Finding } from './finding.ts';
import { isTest } from './finding.ts';

const fileLinesMax = 400;

interface LineRule {
  rule: string;
  pattern: RegExp;
  advice: string;
  appliesTo(path: string): boolean;
}

/** The odd brackets in these patterns keep this file itself from matching them. */
const lineRules: LineRule[] = [
  {
    rule: 'note-to-self',
    pattern: /\b(TO[D]O|FIX[M]E)\b/,
    advice: 'do it now, or file it as an issue',
    appliesTo: () => true,
  },
  {
    rule: 'machine-path',
    pattern: /(?<![\w.~*$})-])\/(work|root)(?![\w.-])|(?<![\w.~*$})-])\/[t]mp\//,
    advice: 'no path of one machine: use os.tmpdir() or a path relative to the file',
    appliesTo: () => true,
  },
  {
    rule: 'only',
    pattern: /\b(test|it|describe|suite)\.only\(|\bonly: true/,
    advice: 'remove it, the other tests must run too',
    appliesTo: isTest,
  },
  {
    rule: 'skip-reason',
    pattern: /\b(test|it|describe|suite)\.(skip|todo)\(|\b(skip|todo): true|\bt\.(skip|todo)\(\)/,
    advice: "say why: { skip: 'reason' }",
    appliesTo: isTest,
  },
];

/** Rules on what a file holds: its size, and words that must not be committed. */
export function contentFindings(path: string, text: string): Finding[] {
  const findings: Finding[] = [];
  const lines = text.split('\n');
  const lineCount = text.endsWith('\n') ? lines.length - 1 : lines.length;
  if (path.endsWith('.ts') && lineCount > fileLinesMax) {
    const advice = `${lineCount} lines, ${fileLinesMax} at most: split it by subject`;
    findings.push({ path, line: fileLinesMax + 1, rule: 'file-size', advice });
  }
  const rules = lineRules.filter((rule) => rule.appliesTo(path));
  for (const [index, line] of lines.entries()) {
    for (const { rule, pattern, advice } of rules) {
      if (pattern.test(line)) findings.push({ path, line: index + 1, rule, advice });
    }
  }
  return findings;
}
