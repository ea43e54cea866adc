/**
 * The words of a command as a shell splits them: blanks part, quotes and backslashes keep together. Undefined for what only a
 * shell can run (`|`, `&`, `;`, `<`, `>`, `` ` `` and `$(` outside of quotes), and for a quote that does not end.
 */
export function splitShellWords(command: string): readonly string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < command.length; at += 1) {
    const character = command.charAt(at);
    if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === "'" || character === '"') {
      const quoted = quotedAt(command, at);
      if (quoted === undefined) return undefined;
      word = (word ?? '') + quoted.text;
      at = quoted.end;
    } else if (character === '\\') {
      at += 1;
      if (at === command.length) return undefined;
      word = (word ?? '') + command.charAt(at);
    } else if (/[|&;<>`]/.test(character) || command.startsWith('$(', at)) return undefined;
    else word = (word ?? '') + character;
  }
  if (word !== undefined) words.push(word);
  return words;
}

/** What the quote at `at` holds, and where it ends. Within double quotes a backslash takes the next character as it is. */
function quotedAt(command: string, at: number): { text: string; end: number } | undefined {
  const quote = command.charAt(at);
  let text = '';
  for (let end = at + 1; end < command.length; end += 1) {
    const character = command.charAt(end);
    if (character === quote) return { text, end };
    if (character === '\\' && quote === '"') end += 1;
    text += command.charAt(end);
  }
  return undefined;
}
