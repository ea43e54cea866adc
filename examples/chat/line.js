const connectTimeoutMs = 2_000;
const pingMs = 2_000;
const silenceMaxMs = 5_000;
const homeEveryMs = 3_000;
const retryFirstMs = 150;
const retryMaxMs = 2_000;
const clockSamplesMax = 8;

/**
 * The connection of a page: to the node that it came from; while that one does not answer to any other; and back.
 * `enter()` gives what is said first, `heard(told)` gets what the node tells, `changed()` is called when `state` differs.
 */
export class Line {
  #home = location.origin;
  #others = [];
  #socket;
  #origin;
  #hooks;
  #lastHeardMs = 0;
  #samples = [];
  #isOpen = false;

  constructor(hooks) {
    this.#hooks = hooks;
    setInterval(() => this.#beat(), pingMs);
    setInterval(() => this.#goHome(), homeEveryMs);
    void this.#connect();
  }

  /** `connected`, `elsewhere` than the page came from, or `connecting`. */
  get state() {
    if (!this.#isOpen) return 'connecting';
    return this.#origin === this.#home ? 'connected' : 'elsewhere';
  }

  /** The last time from a ping to its answer, ms. */
  get roundTripMs() {
    return this.#samples.at(-1)?.roundTripMs;
  }

  /** The node's clock, by the answer that took least time. A difference that it cannot tell from none is none. */
  get nowMs() {
    const [best] = this.#samples.toSorted((a, b) => a.roundTripMs - b.roundTripMs);
    const isAnother = best && Math.abs(best.aheadMs) > best.roundTripMs / 2 + 1;
    return Math.round(Date.now() + (isAnother ? best.aheadMs : 0));
  }

  /** Other addresses of this chat. */
  set others(origins) {
    this.#others = origins.filter((origin) => origin !== this.#home);
  }

  /** False when there is no connection; true says no more than that the message was handed to one. */
  say(said) {
    if (!this.#isOpen) return false;
    this.#socket.send(JSON.stringify(said));
    return true;
  }

  async #connect() {
    for (let round = 0; ; round += 1) {
      for (const origin of [this.#home, ...this.#others]) {
        const opened = await open(origin, this.#hooks.enter());
        if (opened) {
          this.#use(opened);
          return;
        }
      }
      const longestMs = Math.min(retryMaxMs, retryFirstMs * 2 ** round);
      await new Promise((resolve) => setTimeout(resolve, longestMs * (0.5 + Math.random() / 2)));
    }
  }

  #use({ socket, origin, welcome }) {
    this.#close();
    Object.assign(socket, {
      onmessage: ({ data }) => this.#hear(JSON.parse(data)),
      onclose: () => this.#lost(),
    });
    this.#socket = socket;
    this.#origin = origin;
    this.#isOpen = true;
    this.#samples = [];
    this.#lastHeardMs = performance.now();
    this.#hooks.heard(welcome);
    this.#beat();
    this.#hooks.changed();
  }

  #hear(told) {
    this.#lastHeardMs = performance.now();
    if (told.type !== 'pong') {
      this.#hooks.heard(told);
      return;
    }
    const roundTripMs = performance.now() - told.at;
    this.#samples.push({ roundTripMs, aheadMs: told.nowMs - (Date.now() - roundTripMs / 2) });
    if (this.#samples.length > clockSamplesMax) this.#samples.shift();
    this.#hooks.changed();
  }

  #beat() {
    if (!this.#isOpen) return;
    if (performance.now() - this.#lastHeardMs > silenceMaxMs) this.#lost();
    else this.say({ type: 'ping', at: performance.now() });
  }

  #lost() {
    this.#close();
    this.#hooks.changed();
    void this.#connect();
  }

  #close() {
    if (!this.#socket) return;
    Object.assign(this.#socket, { onmessage: null, onclose: null });
    this.#socket.close();
    this.#socket = undefined;
    this.#isOpen = false;
  }

  /** The new connection stands before the old one ends. */
  async #goHome() {
    if (this.state !== 'elsewhere') return;
    const opened = await open(this.#home, this.#hooks.enter());
    if (!opened) return;
    if (this.state === 'elsewhere') this.#use(opened);
    else opened.socket.close();
  }
}

/** Resolves with the socket and the node's welcome; with undefined when none comes in time. */
function open(origin, enter) {
  return new Promise((resolve) => {
    const socket = new WebSocket(`${origin.replace(/^http/, 'ws')}/socket`);
    const give = (opened) => {
      clearTimeout(timer);
      Object.assign(socket, { onopen: null, onmessage: null, onclose: null });
      if (!opened) socket.close();
      resolve(opened);
    };
    const timer = setTimeout(give, connectTimeoutMs);
    socket.onopen = () => socket.send(JSON.stringify(enter));
    socket.onclose = () => give();
    socket.onmessage = ({ data }) => {
      const welcome = JSON.parse(data);
      if (welcome.type === 'welcome') give({ socket, origin, welcome });
    };
  });
}
