import type { Message } from './messages.ts';
import type { Person, Place } from './presence.ts';

/** What a page says, one JSON object a WebSocket message. */
export type FromPage =
  | { readonly type: 'enter'; readonly person: string; readonly name: string }
  | { readonly type: 'name'; readonly name: string }
  /** `sentMs` by the clock of the node, as far as the page can tell it. */
  | { readonly type: 'write'; readonly id: string; readonly text: string; readonly sentMs: number }
  | { readonly type: 'earlier'; readonly before: number }
  | { readonly type: 'ping'; readonly at: number };

/** What a page is told. */
export type ToPage =
  /** The first after `enter`. */
  | {
      readonly type: 'welcome';
      readonly region: string;
      readonly node: string;
      readonly messages: readonly Message[];
    }
  | { readonly type: 'messages'; readonly messages: readonly Message[] }
  /** `isFirst`: nothing was said before these. */
  | { readonly type: 'earlier'; readonly messages: readonly Message[]; readonly isFirst: boolean }
  /** The message is written, and another node has it. */
  | { readonly type: 'written'; readonly id: string }
  /** It is not, or nobody knows: to be sent again, with the same id, unless `isFinal`. */
  | { readonly type: 'failed'; readonly id: string; readonly error: string; readonly isFinal: boolean }
  | {
      readonly type: 'presence';
      readonly people: readonly (Person & { readonly id: string })[];
      readonly places: readonly (Place & { readonly node: string })[];
      /** The node that leads; undefined while this one is connected to none. */
      readonly primary?: string;
    }
  | { readonly type: 'pong'; readonly at: number; readonly nowMs: number };

export const nameCharactersMax = 40;
export const textCharactersMax = 2_000;

const idPattern = /^[\w-]{8,64}$/;

/** Undefined for what is no message of a page. */
export function parseFromPage(data: string): FromPage | undefined {
  const said = parseObject(data);
  switch (said?.type) {
    case 'enter':
      return isId(said.person) && isText(said.name, nameCharactersMax) ? (said as FromPage) : undefined;
    case 'name':
      return isText(said.name, nameCharactersMax) ? (said as FromPage) : undefined;
    case 'write':
      return isId(said.id) && isText(said.text, textCharactersMax) && isTime(said.sentMs)
        ? (said as FromPage)
        : undefined;
    case 'earlier':
      return Number.isSafeInteger(said.before) ? (said as FromPage) : undefined;
    case 'ping':
      return typeof said.at === 'number' ? (said as FromPage) : undefined;
    default:
      return undefined;
  }
}

function parseObject(data: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function isId(value: unknown): boolean {
  return typeof value === 'string' && idPattern.test(value);
}

function isText(value: unknown, charactersMax: number): boolean {
  return typeof value === 'string' && value.trim() !== '' && value.length <= charactersMax;
}

function isTime(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
