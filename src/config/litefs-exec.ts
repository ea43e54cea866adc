import { SkeinError } from '../base/errors.ts';
import type { SetupCommand } from './config.ts';
import { isTable } from './config-file.ts';
import { foundText } from './setting.ts';
import { splitShellWords } from './shell-words.ts';

type PlaceOf = (path: readonly (string | number)[]) => string;

export type LiteFsExec = {
  /** All but the last. */
  readonly setup: readonly SetupCommand[];
  readonly command: (SetupCommand & { readonly text: string }) | undefined;
};

/** `exec` of a litefs.yml: one command, or a list of `cmd` and `if-candidate`. Throws CONFIG_INVALID, CONFIG_UNKNOWN_KEY. */
export function readLiteFsExec(value: unknown, placeOf: PlaceOf): LiteFsExec {
  const items: readonly unknown[] = Array.isArray(value) ? value : [{ cmd: value }];
  const commands = items.map((item, index) =>
    readCommand(item, Array.isArray(value) ? index : undefined, placeOf),
  );
  const setup = commands.slice(0, -1).map(({ argv, ifCandidate }) => ({ argv, ifCandidate }));
  return { setup, command: commands.at(-1) };
}

function readCommand(
  item: unknown,
  index: number | undefined,
  placeOf: PlaceOf,
): SetupCommand & { readonly text: string } {
  const at = index === undefined ? ['exec'] : ['exec', index];
  const invalid = (what: string) =>
    new SkeinError('CONFIG_INVALID', `${placeOf(at)}: ${at.join('.')} ${what}.`);
  if (!isTable(item)) throw invalid(`is ${foundText(item)}; allowed: cmd and if-candidate`);
  const { cmd, 'if-candidate': ifCandidate = false, ...rest } = item;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) {
    const what = `${placeOf([...at, unknown])}: unknown key ${at.join('.')}.${unknown}. Known here: cmd, if-candidate.`;
    throw new SkeinError('CONFIG_UNKNOWN_KEY', what);
  }
  if (typeof cmd !== 'string' || cmd.trim() === '')
    throw invalid(`has the command ${foundText(cmd)}; allowed: a text`);
  const isTrue = ifCandidate === true || ifCandidate === 'true';
  if (!isTrue && ifCandidate !== false && ifCandidate !== 'false')
    throw invalid(`has if-candidate ${foundText(ifCandidate)}; allowed: true or false`);
  const argv = splitShellWords(cmd);
  if (argv === undefined || argv.length === 0) {
    throw invalid(
      `is ${foundText(cmd)}, which only a shell can run, and LiteFS cuts off; write sh -c '…' around all of it`,
    );
  }
  return { argv, ifCandidate: isTrue, text: cmd.trim() };
}
