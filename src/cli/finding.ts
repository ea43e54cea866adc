/** `note`: worth knowing, and nothing to do at once. `warning`: something is wrong, and `advice` says what to do. */
export type Finding = {
  readonly check: string;
  readonly mark: 'ok' | 'note' | 'warning';
  readonly what: string;
  readonly advice?: string;
};

export function ok(check: string, what: string): Finding {
  return { check, mark: 'ok', what };
}

export function note(check: string, what: string, advice?: string): Finding {
  return { check, mark: 'note', what, ...(advice === undefined ? {} : { advice }) };
}

export function warning(check: string, what: string, advice: string): Finding {
  return { check, mark: 'warning', what, advice };
}
