import { cityOf, hueOf, initialsOf } from './places.js';

const itemsMax = 500;
const slowMs = 1_000;
const nearEndPixels = 80;
const time = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', hour12: false });
const date = new Intl.DateTimeFormat('en', { day: 'numeric', month: 'short' });

/** The messages on the page, in the order of their numbers; those without one, which are not written yet, are last. */
export class Log {
  #list;
  #scroll;
  #person;
  #items = new Map();
  #isAtEnd = true;

  constructor(list, scroll, person) {
    this.#list = list;
    this.#scroll = scroll;
    this.#person = person;
    let lastTop = 0;
    scroll.addEventListener('scroll', () => {
      const { scrollHeight, scrollTop, clientHeight } = scroll;
      // What is added below moves the end away too: only who goes up has left it.
      if (scrollHeight - scrollTop - clientHeight < nearEndPixels) this.#isAtEnd = true;
      else if (scrollTop < lastTop) this.#isAtEnd = false;
      lastTop = scrollTop;
    });
    // Who reads at the end stays there; who has scrolled up is left alone.
    const observer = new ResizeObserver(() => {
      if (this.#isAtEnd) this.toEnd();
    });
    observer.observe(scroll);
    observer.observe(list);
  }

  get isEmpty() {
    return this.#items.size === 0;
  }

  get firstNumber() {
    for (const element of this.#list.children) if (element.dataset.id) return Number(element.dataset.number);
    return Number.POSITIVE_INFINITY;
  }

  get lastNumber() {
    for (let element = this.#list.lastElementChild; element; element = element.previousElementSibling)
      if (Number.isFinite(Number(element.dataset.number))) return Number(element.dataset.number);
    return 0;
  }

  /** A message that is here already is not shown again; what it lacked is added. */
  show(message, told) {
    let element = this.#items.get(message.id);
    if (!element) {
      element = this.#make(message);
      this.#items.set(message.id, element);
    }
    const number = message.number ?? Number(element.dataset.number ?? Number.POSITIVE_INFINITY);
    if (element.dataset.number !== String(number)) this.#place(element, number);
    if (message.writtenIn)
      element.title = `No. ${number}, written in ${cityOf(message.writtenIn)}, ${new Date(message.sentMs).toLocaleString('en')}`;
    if (told) this.tell(message.id, told);
    while (this.#isAtEnd && this.#list.childElementCount > itemsMax)
      this.#forget(this.#list.firstElementChild);
  }

  /** `delayMs`: from its author to here, or for an own one until it was acknowledged. `pending`: it is not. */
  tell(id, { pending = false, text, delayMs }) {
    const element = this.#items.get(id);
    if (!element) return;
    element.classList.toggle('pending', pending);
    const told = element.querySelector('.told');
    told.textContent = text ?? (delayMs === undefined ? told.textContent : durationOf(delayMs));
    told.classList.toggle('slow', delayMs >= slowMs);
  }

  /** Something that happened, between the messages before and after it. */
  note(text) {
    const element = document.createElement('li');
    element.className = 'notice';
    element.append(`${text}, ${time.format(Date.now())}`);
    this.#place(element, this.lastNumber);
  }

  #make({ id, person, name, region, text, sentMs }) {
    const element = document.createElement('li');
    element.className = person === this.#person ? 'message mine' : 'message';
    element.dataset.id = id;
    element.dataset.person = person;
    element.style.setProperty('--hue', hueOf(region));
    const part = (tag, className, ...children) => {
      const made = document.createElement(tag);
      made.className = className;
      made.append(...children);
      return made;
    };
    const author = part('div', 'author', part('b', '', name), ' ', part('span', 'where', cityOf(region)));
    const isToday = new Date(sentMs).toDateString() === new Date().toDateString();
    const when = `${isToday ? '' : `${date.format(sentMs)} `}${time.format(sentMs)}`;
    const said = part('div', 'said', part('p', 'text', text), part('span', 'told', when));
    element.append(part('span', 'avatar', initialsOf(name)), author, said);
    return element;
  }

  #place(element, number) {
    const after = element.nextElementSibling;
    element.dataset.number = String(number);
    element.remove();
    let previous = this.#list.lastElementChild;
    while (previous && Number(previous.dataset.number) > number) previous = previous.previousElementSibling;
    if (previous) previous.after(element);
    else this.#list.prepend(element);
    for (const moved of [after, element, element.nextElementSibling]) this.#group(moved);
  }

  /** Messages of one person in a row have the name once. */
  #group(element) {
    const person = element?.dataset.person;
    if (person)
      element.classList.toggle('follows', element.previousElementSibling?.dataset.person === person);
  }

  #forget(element) {
    this.#items.delete(element.dataset.id);
    element.remove();
  }

  toEnd() {
    this.#isAtEnd = true;
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  /** Adds what was before, and leaves what is being read where it is. */
  showEarlier(messages) {
    const scroll = this.#scroll;
    const fromBottom = scroll.scrollHeight - scroll.scrollTop;
    for (const message of messages) this.show(message);
    scroll.scrollTop = scroll.scrollHeight - fromBottom;
  }
}

export function durationOf(ms) {
  return ms < slowMs ? `${Math.max(0, Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`;
}
