/** Where the keys of a TOML text are. The parser checks the text; this only counts lines, and takes any input. */
export class TomlLines {
  readonly #lines: ReadonlyMap<string, number>;

  constructor(text: string) {
    this.#lines = new LineScanner(text).scan();
  }

  /** The line, from 1, of a key path, or of its nearest parent that the text has. Items of arrays go by index. */
  lineOf(path: readonly (string | number)[]): number {
    for (let length = path.length; length > 0; length--) {
      const line = this.#lines.get(pathId(path.slice(0, length)));
      if (line !== undefined) return line;
    }
    return 1;
  }
}

type Path = readonly (string | number)[];

function pathId(path: Path): string {
  return JSON.stringify(path);
}

/** Deeper nesting or longer keys end the scan: the lines found until there still serve. */
const depthMax = 64;

class TooDeep extends Error {}

class LineScanner {
  readonly #text: string;
  readonly #lines = new Map<string, number>();
  /** How many `[[name]]` headers each path has had. */
  readonly #arrayItems = new Map<string, number>();
  #at = 0;
  #line = 1;

  constructor(text: string) {
    this.#text = text;
  }

  scan(): ReadonlyMap<string, number> {
    let section: Path = [];
    try {
      while (this.#skipBlank(true)) {
        if (this.#peek() === '[') section = this.#header();
        else this.#pair(section, 0);
        this.#skipLine();
      }
    } catch (error) {
      if (!(error instanceof TooDeep)) throw error;
    }
    return this.#lines;
  }

  #peek(): string {
    return this.#text.charAt(this.#at);
  }

  #next(): string {
    const character = this.#text.charAt(this.#at++);
    if (character === '\n') this.#line++;
    return character;
  }

  /** Moves to the next character that counts; with `newlines` also over line ends and comments. False at the end. */
  #skipBlank(newlines: boolean): boolean {
    for (; this.#at < this.#text.length; this.#next()) {
      const character = this.#peek();
      if (character === '#' && newlines) this.#skipLine();
      else if (character !== ' ' && character !== '\t' && !(newlines && /[\r\n\uFEFF]/.test(character)))
        return true;
      if (this.#at >= this.#text.length) return false;
    }
    return false;
  }

  #skipLine(): void {
    while (this.#at < this.#text.length && this.#peek() !== '\n') this.#at++;
  }

  #header(): Path {
    const line = this.#line;
    this.#next();
    const isArray = this.#peek() === '[';
    if (isArray) this.#next();
    const names = this.#key();
    let path: Path = [];
    for (const [index, name] of names.entries()) {
      path = [...path, name];
      this.#record(path, line);
      const id = pathId(path);
      const items = this.#arrayItems.get(id) ?? 0;
      const isNewItem = isArray && index === names.length - 1;
      if (isNewItem) this.#arrayItems.set(id, items + 1);
      if (items === 0 && !isNewItem) continue;
      path = [...path, isNewItem ? items : items - 1];
      this.#record(path, line);
    }
    return path;
  }

  #pair(section: Path, depth: number): void {
    const line = this.#line;
    let path = section;
    for (const name of this.#key()) {
      path = [...path, name];
      this.#record(path, line);
    }
    this.#skipBlank(false);
    if (this.#peek() !== '=') return;
    this.#next();
    this.#skipBlank(false);
    this.#value(path, depth);
  }

  #record(path: Path, line: number): void {
    if (path.length > depthMax) throw new TooDeep();
    const id = pathId(path);
    if (!this.#lines.has(id)) this.#lines.set(id, line);
  }

  /** The parts of a dotted key. Stops before the first character that cannot belong to one. */
  #key(): string[] {
    const names: string[] = [];
    for (;;) {
      this.#skipBlank(false);
      const character = this.#peek();
      if (character === '"' || character === "'") names.push(this.#string());
      else {
        const start = this.#at;
        while (/[A-Za-z0-9_-]/.test(this.#peek())) this.#at++;
        if (this.#at === start) return names;
        names.push(this.#text.slice(start, this.#at));
      }
      this.#skipBlank(false);
      if (this.#peek() !== '.') return names;
      this.#next();
    }
  }

  #value(path: Path, depth: number): void {
    if (depth > depthMax) throw new TooDeep();
    const character = this.#peek();
    if (character === '"' || character === "'") this.#string();
    else if (character === '[') this.#array(path, depth);
    else if (character === '{') this.#inlineTable(path, depth);
    else while (this.#at < this.#text.length && !/[,\]}#\n]/.test(this.#peek())) this.#at++;
  }

  #array(path: Path, depth: number): void {
    this.#next();
    for (let index = 0; this.#skipBlank(true); ) {
      const character = this.#peek();
      if (character === ',' || character === '}') this.#next();
      else if (character === ']') return void this.#next();
      else this.#value([...path, index++], depth + 1);
    }
  }

  #inlineTable(path: Path, depth: number): void {
    this.#next();
    while (this.#skipBlank(true)) {
      const character = this.#peek();
      if (character === '}') return void this.#next();
      const start = this.#at;
      if (character !== ',') this.#pair(path, depth + 1);
      if (this.#at === start) this.#next();
    }
  }

  /** Any of the four kinds of string, as its content; escapes only matter here where a quoted key holds one. */
  #string(): string {
    const quote = this.#peek();
    const fence = this.#text.startsWith(quote.repeat(3), this.#at) ? quote.repeat(3) : quote;
    const start = this.#at + fence.length;
    this.#at = start;
    while (this.#at < this.#text.length && !this.#text.startsWith(fence, this.#at)) {
      if (this.#peek() === '\n' && fence.length === 1) break;
      if (this.#next() === '\\' && quote === '"') this.#next();
    }
    const content = this.#text.slice(start, this.#at);
    if (this.#text.startsWith(fence, this.#at)) this.#at += fence.length;
    // A multi-line string may end in up to two quotes of its own.
    while (fence.length === 3 && this.#peek() === quote) this.#at++;
    return quote === '"' ? withoutEscapes(content) : content;
  }
}

function withoutEscapes(content: string): string {
  if (!content.includes('\\')) return content;
  try {
    return String(JSON.parse(`"${content}"`));
  } catch {
    return content;
  }
}
