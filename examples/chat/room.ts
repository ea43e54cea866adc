import { channel, events, onPrimary } from 'skein/client';
import { type RawData, WebSocket } from 'ws';
import type { Message, Messages, NewMessage } from './messages.ts';
import type { Presence } from './presence.ts';
import { type FromPage, parseFromPage, type ToPage } from './wire.ts';

const historyLength = 100;
const writesPerPageMax = 50;
const unsentBytesMax = 1 << 20;
const aliveMs = 10_000;
const lookMs = 1_000;
/** Reports of presence are gathered for so long. */
const gatherMs = 40;

type Page = {
  readonly socket: WebSocket;
  person: string | undefined;
  name: string;
  writes: number;
  isAlive: boolean;
};

/** The pages that are connected to this process. */
export class Room {
  readonly #node: string;
  readonly #region: string;
  readonly #messages: Messages;
  readonly #presence: Presence;
  readonly #pages = new Set<Page>();
  readonly #live = channel<Message>('messages');
  readonly #write;
  readonly #stopping = new AbortController();
  readonly #timers: NodeJS.Timeout[];
  readonly #unsubscribe: () => void;
  #primary: string | undefined;
  #lastNumber: number;
  #gathering: NodeJS.Timeout | undefined;
  #toldPresence = '';

  constructor(node: string, region: string, messages: Messages, presence: Presence) {
    this.#node = node;
    this.#region = region;
    this.#messages = messages;
    this.#presence = presence;
    this.#lastNumber = messages.lastNumber;
    // Runs in a process of the primary, which puts its own region in. Written twice it is there once: it may be tried again.
    this.#write = onPrimary('write', (message: NewMessage) => messages.write(message, region), {
      idempotent: true,
      timeoutMs: 20_000,
    });
    this.#unsubscribe = this.#live.subscribe((message) =>
      this.#tellAll({ type: 'messages', messages: [message] }),
    );
    // The channel is fast, the file is complete: what a channel has missed is read there.
    this.#timers = [setInterval(() => this.#look(), lookMs), setInterval(() => this.#dropDead(), aliveMs)];
    presence.onChange(() => this.#tellPresence());
    void this.#follow();
  }

  get isFull(): boolean {
    return this.#pages.size >= 1_000;
  }

  add(socket: WebSocket): void {
    const page: Page = { socket, person: undefined, name: '', writes: 0, isAlive: true };
    this.#pages.add(page);
    socket.on('pong', () => {
      page.isAlive = true;
    });
    socket.on('message', (data: RawData, isBinary: boolean) => {
      const said = isBinary ? undefined : parseFromPage(data.toString());
      page.isAlive = true;
      if (said) this.#hear(page, said);
      else socket.close(1008, 'not a message of this chat');
    });
    socket.on('error', () => socket.terminate());
    socket.on('close', () => {
      this.#pages.delete(page);
      if (page.person !== undefined) this.#presence.leave(page.person);
    });
  }

  /** Soon, together with what changes until then. */
  #tellPresence(): void {
    this.#gathering ??= setTimeout(() => {
      this.#gathering = undefined;
      const text = JSON.stringify(this.#presenceNow());
      // Entries that were only renewed are no news.
      if (text !== this.#toldPresence) this.#sendAll(text);
      this.#toldPresence = text;
    }, gatherMs);
  }

  stop(): void {
    this.#stopping.abort();
    this.#unsubscribe();
    clearTimeout(this.#gathering);
    for (const timer of this.#timers) clearInterval(timer);
    // Pages come back at once after this code, elsewhere if need be.
    for (const { socket } of this.#pages) socket.close(1012, 'this node stops');
  }

  #hear(page: Page, said: FromPage): void {
    if (said.type === 'ping') {
      tell(page, { type: 'pong', at: said.at, nowMs: Date.now() });
      return;
    }
    if (said.type === 'enter') {
      this.#enter(page, said.person, said.name.trim());
      return;
    }
    if (page.person === undefined) {
      page.socket.close(1008, 'say enter first');
      return;
    }
    switch (said.type) {
      case 'name':
        page.name = said.name.trim();
        this.#presence.rename(page.person, page.name);
        break;
      case 'write': {
        const { id, text, sentMs } = said;
        const { person, name } = page;
        void this.#pass(page, { id, person, name, region: this.#region, text: text.trim(), sentMs });
        break;
      }
      case 'earlier': {
        const messages = this.#messages.before(said.before, historyLength);
        tell(page, { type: 'earlier', messages, isFirst: messages.length < historyLength });
      }
    }
  }

  #enter(page: Page, person: string, name: string): void {
    if (page.person !== undefined) return;
    page.person = person;
    page.name = name;
    this.#presence.enter(person, name);
    const messages = this.#messages.before(Number.MAX_SAFE_INTEGER, historyLength);
    tell(page, { type: 'welcome', region: this.#region, node: this.#node, messages });
    tell(page, this.#presenceNow());
  }

  /** Has the primary write it. When that is done another node has it too, and this node's file. */
  async #pass(page: Page, message: NewMessage): Promise<void> {
    const { id } = message;
    if (page.writes >= writesPerPageMax) {
      tell(page, { type: 'failed', id, error: 'too many at once', isFinal: false });
      return;
    }
    page.writes += 1;
    try {
      const written = await this.#write.with({ signal: this.#stopping.signal })(message);
      this.#live.publish(written);
      tell(page, { type: 'written', id });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      tell(page, { type: 'failed', id, error: why, isFinal: false });
    } finally {
      page.writes -= 1;
    }
  }

  /** Tells what the file has and was not told yet. A page that has heard of it by the channel shows it once. */
  #look(): void {
    const last = this.#messages.lastNumber;
    // After the loss of a primary the last numbers may be given again, to others.
    if (last < this.#lastNumber) this.#lastNumber = Math.max(0, last - historyLength);
    while (this.#lastNumber < last) {
      const messages = this.#messages.after(this.#lastNumber, historyLength);
      this.#lastNumber = messages.at(-1)?.number ?? last;
      this.#tellAll({ type: 'messages', messages });
    }
  }

  async #follow(): Promise<void> {
    for await (const event of events({ signal: this.#stopping.signal })) {
      this.#look();
      if (event.type !== 'init' && event.type !== 'primaryChange') continue;
      this.#primary = event.data.isPrimary ? this.#node : event.data.hostname;
      this.#tellPresence();
    }
  }

  #presenceNow(): ToPage {
    const { people, places } = { people: this.#presence.people(), places: this.#presence.places() };
    const primary = this.#primary;
    return { type: 'presence', people, places, ...(primary === undefined ? {} : { primary }) };
  }

  #tellAll(told: ToPage): void {
    this.#sendAll(JSON.stringify(told));
  }

  #sendAll(text: string): void {
    for (const page of this.#pages) if (page.person !== undefined) send(page, text);
  }

  /** A machine that was switched off says nothing more, not even that. */
  #dropDead(): void {
    for (const page of this.#pages) {
      if (!page.isAlive) page.socket.terminate();
      page.isAlive = false;
      page.socket.ping();
    }
  }
}

function tell(page: Page, told: ToPage): void {
  send(page, JSON.stringify(told));
}

/** A page that does not read is let go: it finds everything in the history when it comes back. */
function send({ socket }: Page, text: string): void {
  if (socket.bufferedAmount > unsentBytesMax) socket.terminate();
  else if (socket.readyState === WebSocket.OPEN) socket.send(text);
}
