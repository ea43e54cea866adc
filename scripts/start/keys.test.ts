import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import type { ReadStream } from 'node:tty';
import { type Command, Keyboard, keysLine } from './keys.ts';

/** What a terminal does, as far as a keyboard needs it. */
class KeyInput extends PassThrough {
  isTTY = true;
  isRaw = false;

  setRawMode(isRaw: boolean): this {
    this.isRaw = isRaw;
    return this;
  }
}

function keyboard(): { input: KeyInput; keys: Keyboard } {
  const input = new KeyInput();
  return { input, keys: new Keyboard(input as unknown as ReadStream) };
}

test('each key asks for what the line at the bottom says, and other keys for nothing', () => {
  const { input, keys } = keyboard();
  const asked: Command[] = [];
  keys.listen((command) => asked.push(command));
  for (const text of ['1', '3', 'k', 'b', 'h', 'p', 'q', '\u0003']) input.write(text);
  assert.deepEqual(asked, [0, 2, 'kill', 'bringBack', 'handOff', 'pause', 'stop', 'stop']);
  asked.length = 0;
  for (const text of ['\u001b[A', '\u001b[B', '\u001bOC', '\u001b[D']) input.write(text);
  assert.deepEqual(asked, ['previous', 'next', 'next', 'previous']);
  asked.length = 0;
  for (const text of ['x', '0', ' ', '\r', '\u000b', '\u001bk', '\u001b[5~', '\u001b[1;5P', 'ü'])
    input.write(text);
  assert.deepEqual(asked, []);
  assert.match(keysLine, /k kill.*b bring back.*h hand off.*p pause.*q stop/);
  keys.leave();
});

test('an arrow key that comes in two pieces is that key', () => {
  const { input, keys } = keyboard();
  const asked: Command[] = [];
  keys.listen((command) => asked.push(command));
  input.write('\u001b[');
  input.write('B');
  assert.deepEqual(asked, ['next']);
  keys.leave();
});

test('the terminal is in raw mode only while keys are listened to', () => {
  const { input, keys } = keyboard();
  const asked: Command[] = [];
  keys.listen((command) => asked.push(command));
  assert.equal(input.isRaw, true);
  keys.leave();
  assert.equal(input.isRaw, false);
  assert.equal(input.isPaused(), true);
  input.write('k');
  assert.deepEqual(asked, []);
});

test('an input that is no terminal is left alone', () => {
  const { input, keys } = keyboard();
  input.isTTY = false;
  keys.listen(() => assert.fail());
  assert.equal(input.isRaw, false);
  assert.equal(keys.isThere, false);
});
