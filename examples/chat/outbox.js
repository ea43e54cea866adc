const key = 'chat-outbox';
const againMs = 1_000;

/**
 * Messages that are not acknowledged, oldest first, kept over a reload of the page. One is under way at a time, so that they keep
 * their order; each keeps its id however often it is sent, so that it is written once.
 */
export class Outbox {
  #messages = JSON.parse(sessionStorage.getItem(key) ?? '[]');
  #say;
  #underWay;
  #timer;

  /** `say(message)` returns whether it could be handed to a connection. */
  constructor(say) {
    this.#say = say;
  }

  get messages() {
    return this.#messages;
  }

  add(message) {
    this.#messages.push(message);
    this.#save();
    this.#next();
  }

  /** There is a connection, another than before: what was under way may never have arrived. */
  connected() {
    this.#underWay = undefined;
    this.#next();
  }

  /** It is written, or never will be. Returns it, if it was here. */
  settle(id) {
    const found = this.#messages.find((message) => message.id === id);
    this.#messages = this.#messages.filter((message) => message !== found);
    this.#save();
    if (this.#underWay === id) this.connected();
    return found;
  }

  /** It could not be written now. */
  failed(id) {
    if (this.#underWay !== id) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.connected(), againMs);
  }

  #next() {
    const [first] = this.#messages;
    if (first && this.#underWay === undefined && this.#say(first)) this.#underWay = first.id;
  }

  #save() {
    sessionStorage.setItem(key, JSON.stringify(this.#messages));
  }
}
