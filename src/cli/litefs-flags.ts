import { SkeinError } from '../base/errors.ts';
import { nearest } from '../config/nearest.ts';

/** The switches of `litefs run`, and its flags with a value. With one of them, `skein run` is that. */
export const besideSwitches = ['promote', 'if-candidate', 'v'] as const;
export const besideTexts = ['url', 'with-halt-lock-on'] as const;
export const besideFlags: readonly string[] = [...besideSwitches, ...besideTexts];

export type LiteFsFlags = {
  /** By name; a switch that is on is `true`. */
  readonly values: ReadonlyMap<string, string>;
  /** What came after `--`, or undefined without one. */
  readonly command: readonly string[] | undefined;
};

/**
 * Reads a command line as LiteFS does: one dash or two, `-name=value` or `-name value`, and of the switches `-name` or
 * `-name=false`. Throws USAGE.
 */
export function parseLiteFsFlags(
  argv: readonly string[],
  switches: readonly string[],
  texts: readonly string[],
): LiteFsFlags {
  const end = argv.indexOf('--');
  const words = argv.slice(0, end === -1 ? undefined : end);
  const values = new Map<string, string>();
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at];
    const [, name, inline] = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(word) ?? [];
    if (name === undefined)
      throw new SkeinError('USAGE', `Unexpected argument "${word}". A command goes after --.`);
    if (switches.includes(name)) {
      const isOn = inline === undefined || /^(?:1|t|true)$/i.test(inline);
      if (!isOn && !/^(?:0|f|false)$/i.test(inline))
        throw new SkeinError('USAGE', `-${name} is "${inline}"; allowed: true or false.`);
      if (isOn) values.set(name, 'true');
      else values.delete(name);
    } else if (texts.includes(name)) {
      if (inline === undefined) at += 1;
      const value = inline ?? words[at];
      if (value === undefined) throw new SkeinError('USAGE', `-${name} needs a value: -${name} VALUE.`);
      values.set(name, value);
    } else throw unknown(name, [...switches, ...texts]);
  }
  return { values, command: end === -1 ? undefined : argv.slice(end + 1) };
}

/** Whether one of these flags stands before `--`, with one dash or two. */
export function hasLiteFsFlag(argv: readonly string[], names: readonly string[]): boolean {
  const end = argv.indexOf('--');
  const words = argv.slice(0, end === -1 ? undefined : end);
  return words.some((word) => names.includes(/^--?([^-=][^=]*)/.exec(word)?.[1] ?? ''));
}

/** The same words, with two dashes before these names where there was one. */
export function withTwoDashes(argv: readonly string[], names: readonly string[]): readonly string[] {
  return argv.map((word) => (names.includes(/^-([^-=][^=]*)/.exec(word)?.[1] ?? '') ? `-${word}` : word));
}

function unknown(name: string, known: readonly string[]): SkeinError {
  const near = nearest(name, known);
  const advice =
    near === undefined
      ? `There are ${known.map((one) => `-${one}`).join(', ')}.`
      : `The nearest is -${near}.`;
  return new SkeinError('USAGE', `There is no flag -${name}. ${advice}`);
}
