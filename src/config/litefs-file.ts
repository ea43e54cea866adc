import { createRequire } from 'node:module';
import { hostname } from 'node:os';
import { extname, join, resolve } from 'node:path';
import type { Document, Node } from 'yaml';
import { SkeinError } from '../base/errors.ts';
import { isTable, readConfigText, shownPath, type Table } from './config-file.ts';
import { expandLiteFs } from './litefs-expand.ts';
import { type LiteFsKind, liteFsKeys } from './litefs-keys.ts';
import { nearest } from './nearest.ts';
import { foundText } from './setting.ts';

/** One value of a litefs.yml, of the kind that its key asks for. */
export type LiteFsValue = {
  readonly value: unknown;
  /** "litefs.yml:12 lease.hostname" */
  readonly place: string;
};

/** A litefs.yml, its variables replaced and its keys checked. */
export type LiteFsFile = {
  readonly path: string;
  /** The path as messages show it. */
  readonly shown: string;
  readonly values: ReadonlyMap<string, LiteFsValue>;
  /** The place of an item of a list, as `placeOf(['exec', 0])`. */
  readonly placeOf: (path: readonly (string | number)[]) => string;
};

export type LiteFsSearch = {
  /** As `--config` names it; undefined to look where LiteFS does. */
  readonly named: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Whether variables in it are replaced. */
  readonly expand: boolean;
};

export function isLiteFsName(path: string): boolean {
  return ['.yml', '.yaml'].includes(extname(path).toLowerCase());
}

/**
 * Reads the named litefs.yml, or the first of `./litefs.yml`, `~/litefs.yml` and `/etc/litefs.yml`; undefined if there is
 * none. Throws CONFIG_NOT_FOUND for a named one, CONFIG_SYNTAX, CONFIG_UNKNOWN_KEY, CONFIG_INVALID.
 */
export function readLiteFsFile({ named, env, cwd, expand }: LiteFsSearch): LiteFsFile | undefined {
  const home = env.HOME ? [join(env.HOME, 'litefs.yml')] : [];
  for (const candidate of named === undefined ? ['litefs.yml', ...home, '/etc/litefs.yml'] : [named]) {
    const path = resolve(cwd, candidate);
    const shown = shownPath(path, cwd);
    const text = readConfigText(path, shown, named === undefined);
    if (text === undefined) continue;
    const variables = { ...env, HOSTNAME: env.HOSTNAME || hostname() };
    const reader = new LiteFsReader(shown, expand ? expandLiteFs(text, variables) : text);
    reader.readRoot();
    return { path, shown, values: reader.values, placeOf: (keys) => reader.placeOf(keys) };
  }
  return undefined;
}

const allowedOf: Readonly<Record<LiteFsKind, string>> = {
  boolean: 'true or false',
  text: 'a text',
  duration: 'a duration, such as `10s` or `1m30s`',
  number: 'a number',
  texts: 'a list of texts',
  exec: 'a command, or a list of `cmd` and `if-candidate`',
};

class LiteFsReader {
  readonly values = new Map<string, LiteFsValue>();
  readonly #shown: string;
  readonly #document: Document.Parsed;
  readonly #lineAt: (offset: number) => number;

  constructor(shown: string, text: string) {
    // Only here: of those who start, few have such a file.
    const { LineCounter, parseDocument } = createRequire(import.meta.url)('yaml') as typeof import('yaml');
    const lines = new LineCounter();
    this.#shown = shown;
    this.#lineAt = (offset) => Math.max(1, lines.linePos(offset).line);
    this.#document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
    const [error] = this.#document.errors;
    if (error === undefined) return;
    const { line, col } = lines.linePos(error.pos[0]);
    throw new SkeinError('CONFIG_SYNTAX', `${shown}:${line}:${col}: not valid YAML: ${error.message}.`);
  }

  readRoot(): void {
    const root: unknown = this.#document.toJS();
    if (root === null) return;
    if (!isTable(root)) throw new SkeinError('CONFIG_INVALID', `${this.#shown}: this is no litefs.yml.`);
    this.#readTable([], root);
  }

  placeOf(path: readonly (string | number)[]): string {
    return `${this.#shown}:${this.#lineOf(path)}`;
  }

  #readTable(parent: readonly string[], table: Table): void {
    for (const [name, value] of Object.entries(table)) {
      const path = [...parent, name];
      const dotted = path.join('.');
      const key = liteFsKeys[dotted];
      if (key !== undefined) this.#readValue(path, key.kind, value);
      else if (!isSection(dotted)) throw this.#unknown(path);
      else if (isTable(value)) this.#readTable(path, value);
      // An empty section: all that was in it is commented out.
      else if (value !== null) throw this.#invalid(path, value, 'a section');
    }
  }

  #readValue(path: readonly string[], kind: LiteFsKind, value: unknown): void {
    // Nothing after the colon, or a variable that is not set: as if the key were not there.
    if (value === null || value === '') return;
    const read = readAs(kind, value);
    if (read === undefined) throw this.#invalid(path, value, allowedOf[kind]);
    const place = `${this.placeOf(path)} ${path.join('.')}`;
    this.values.set(path.join('.'), { value: read, place });
  }

  /** The line of the key itself, or of an item; of the nearest parent where that is not there. */
  #lineOf(path: readonly (string | number)[]): number {
    const parent = this.#document.getIn(path.slice(0, -1), true);
    const name = path.at(-1);
    const pairs: readonly unknown[] = hasItems(parent) ? parent.items : [];
    for (const [index, item] of pairs.entries()) {
      const node = hasKey(item) ? item.key : item;
      const isMeant = hasKey(item) ? String(item.key) === String(name) : index === name;
      if (isMeant && isNode(node) && node.range) return this.#lineAt(node.range[0]);
    }
    return path.length > 1 ? this.#lineOf(path.slice(0, -1)) : 1;
  }

  #invalid(path: readonly string[], value: unknown, allowed: string): SkeinError {
    const what = `${path.join('.')} is ${foundText(value)}; allowed: ${allowed}.`;
    return new SkeinError('CONFIG_INVALID', `${this.placeOf(path)}: ${what}`);
  }

  #unknown(path: readonly string[]): SkeinError {
    const dotted = path.join('.');
    const prefix = path.slice(0, -1).map((name) => `${name}.`);
    const siblings = namesUnder(prefix.join(''));
    const sibling = nearest(path.at(-1) ?? '', siblings);
    const near = sibling === undefined ? nearest(dotted, Object.keys(liteFsKeys)) : prefix.join('') + sibling;
    const advice =
      near === undefined ? `Known here: ${siblings.join(', ')}.` : `The nearest known key is ${near}.`;
    return new SkeinError('CONFIG_UNKNOWN_KEY', `${this.placeOf(path)}: unknown key ${dotted}. ${advice}`);
  }
}

function isSection(dotted: string): boolean {
  return Object.keys(liteFsKeys).some((known) => known.startsWith(`${dotted}.`));
}

function namesUnder(prefix: string): readonly string[] {
  const names = Object.keys(liteFsKeys).flatMap((known) =>
    known.startsWith(prefix) ? (known.slice(prefix.length).split('.')[0] ?? []) : [],
  );
  return [...new Set(names)];
}

function readAs(kind: LiteFsKind, value: unknown): unknown {
  switch (kind) {
    case 'boolean':
      // With quotes around a comparison it is a text.
      if (value === 'true' || value === 'false') return value === 'true';
      return typeof value === 'boolean' ? value : undefined;
    case 'text':
      return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
    case 'duration':
      return value === 0 || (typeof value === 'string' && /^\d/.test(value)) ? String(value) : undefined;
    case 'number':
      return typeof value === 'number' ? value : undefined;
    case 'texts':
      return Array.isArray(value) && value.every((one) => typeof one === 'string') ? value : undefined;
    case 'exec':
      return typeof value === 'string' || Array.isArray(value) ? value : undefined;
  }
}

function hasItems(node: unknown): node is { readonly items: readonly unknown[] } {
  return typeof node === 'object' && node !== null && 'items' in node && Array.isArray(node.items);
}

function hasKey(item: unknown): item is { readonly key: unknown } {
  return typeof item === 'object' && item !== null && 'key' in item;
}

function isNode(node: unknown): node is Node {
  return typeof node === 'object' && node !== null && 'range' in node;
}
