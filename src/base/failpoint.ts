/**
 * Places where tests make the process die. `SKEIN_TEST_FAILPOINT=apply:frames-written#3` kills it with SIGKILL the third time
 * that the named place is passed. Unset, as always outside tests, a failpoint costs one comparison.
 */
const [wanted, countText] = (process.env.SKEIN_TEST_FAILPOINT ?? '').split('#');
let remaining = Number(countText ?? 1);

export function failpoint(name: string): void {
  if (wanted === '' || name !== wanted) return;
  remaining -= 1;
  if (remaining <= 0) process.kill(process.pid, 'SIGKILL');
}

/** A rule without which data can be lost, so that a test can show that it would be noticed. */
export type Rule = 'safe-position' | 'fencing' | 'chain-check' | 'durable-response';

const disabled = new Set((process.env.SKEIN_TEST_DISABLE ?? '').split(','));

/** Whether a test has switched the rule off: `SKEIN_TEST_DISABLE=fencing`. Never outside tests. */
export function isDisabled(rule: Rule): boolean {
  return disabled.has(rule);
}
