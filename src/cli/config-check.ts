import { SkeinError } from '../base/errors.ts';
import { type LoadedConfig, loadConfigWithGivens } from '../config/load-config.ts';
import { dottedOf, keyList } from '../config/schema.ts';
import { sourceText } from '../config/setting.ts';
import { parseVerbFlags } from './config-flags.ts';
import { plain, table } from './table.ts';
import type { Verb, VerbInput } from './verb.ts';

type Setting = { readonly value: string | undefined; readonly source: string };

const hidden = '•••';
const secretName = /secret|token|password|passwd|credential|private|api_?key/i;

async function check({ argv, env, cwd }: VerbInput): Promise<number> {
  const { values, positionals, command, configArgv } = parseVerbFlags(argv, ['json']);
  const [extra] = [...positionals, ...(command ?? [])];
  if (extra !== undefined) throw new SkeinError('USAGE', `Unexpected argument "${extra}". Leave it out.`);
  const loaded = loadConfigWithGivens({ argv: configArgv, env, cwd });
  const settings = settingsOf(loaded);
  const { sources, sections } = loaded.config;
  if (values.has('json')) {
    const answer = { files: sources, settings: Object.fromEntries(settings), withoutMeaning: sections };
    process.stdout.write(`${JSON.stringify(answer, undefined, 2)}\n`);
    return 0;
  }
  const rows = [...settings].map(([name, { value, source }]) => [name, plain(value ?? '-'), source]);
  process.stdout.write(`File: ${sources.length === 0 ? 'none' : sources.join(', ')}\n\n`);
  process.stdout.write(table(['key', 'value', 'from'], rows));
  if (sections.length > 0)
    process.stdout.write(`\nAccepted, without a meaning yet: ${sections.join(', ')}\n`);
  return 0;
}

function settingsOf({ config, givens }: LoadedConfig): ReadonlyMap<string, Setting> {
  const settings = new Map<string, Setting>();
  for (const key of keyList) {
    const dotted = dottedOf(key.path);
    const value = key.effective(config);
    const shown = key.isSecret === true && value !== undefined ? hidden : value;
    settings.set(dotted, { value: shown, source: sourceText(givens.get(dotted)?.source) });
  }
  for (const [name, value] of Object.entries(config.env)) {
    const given = givens.get(dottedOf(['env', name]));
    // What came from a variable into [env] is as likely a password as not.
    const isSecret = given?.expanded === true || secretName.test(name);
    settings.set(`env.${name}`, { value: isSecret ? hidden : value, source: sourceText(given?.source) });
  }
  for (const [name, value] of Object.entries(config.litefs ?? {})) {
    if (typeof value === 'boolean')
      settings.set(`litefs.${name}`, { value: String(value), source: 'litefs.yml' });
  }
  for (const [index, { argv, ifCandidate }] of (config.litefs?.setup ?? []).entries()) {
    const value = `${argv.join(' ')}${ifCandidate ? ' (candidates only)' : ''}`;
    settings.set(`litefs.setup.${index + 1}`, { value, source: 'exec' });
  }
  for (const { name, command, on } of config.processes) {
    for (const [field, value] of Object.entries({ command, on })) {
      const dotted = dottedOf(['processes', name, field]);
      settings.set(dotted, { value, source: sourceText(givens.get(dotted)?.source) });
    }
  }
  return settings;
}

export const configCheck: Verb = {
  help: `Usage: skein config check [--json] [FLAGS]

Checks the configuration as \`skein run\` would, and shows every value in force with where it comes from: a line of
the file, a variable, a flag, or the default. Secrets are not shown. Takes the flags of \`skein run\`.
`,
  run: check,
};
