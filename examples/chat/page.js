import { Line } from './line.js';
import { durationOf, Log } from './log.js';
import { Outbox } from './outbox.js';
import { cityOf, hueOf, initialsOf } from './places.js';

const birds = [
  'Avocet',
  'Crane',
  'Godwit',
  'Heron',
  'Knot',
  'Lapwing',
  'Plover',
  'Skylark',
  'Starling',
  'Swift',
  'Tern',
  'Wigeon',
];
const slowToWriteMs = 400;

const $ = (id) => document.getElementById(id);
const home = document.documentElement.dataset.region;
const person = kept(sessionStorage, 'chat-person', randomId);
let name =
  new URLSearchParams(location.search).get('name') ??
  kept(localStorage, 'chat-name', () => birds[Math.floor(Math.random() * birds.length)]);
let region = home;
let people = [];
let places = [];
/** The node that leads, or did last: `isLed` says whether one does. */
let primary;
let isLed = false;
let wasElsewhere = false;
/** Where each node is, also those that do not answer any more. */
const regionOf = new Map();

const log = new Log($('log'), $('scroll'), person);
const outbox = new Outbox(({ id, text, sentMs }) => line.say({ type: 'write', id, text, sentMs }));
const line = new Line({ enter: () => ({ type: 'enter', person, name }), heard, changed: showLine });

$('home').textContent = cityOf(home);
$('home').parentElement.style.setProperty('--hue', hueOf(home));
$('name').value = name;
for (const message of outbox.messages)
  log.show({ ...message, person, name, region }, { pending: true, text: 'waiting' });
showPresence();
setInterval(showWaiting, 100);

function heard(told) {
  switch (told.type) {
    case 'welcome':
      region = told.region;
      for (const message of told.messages) log.show(message);
      $('earlier').hidden = told.messages.length < 100;
      $('empty').hidden = !log.isEmpty;
      outbox.connected();
      break;
    case 'messages':
      $('empty').hidden = true;
      for (const message of told.messages) showLive(message);
      break;
    case 'earlier':
      log.showEarlier(told.messages);
      $('earlier').hidden = told.isFirst;
      break;
    case 'written': {
      const message = outbox.settle(told.id);
      if (message) log.tell(told.id, { delayMs: line.nowMs - message.sentMs });
      showWaiting();
      break;
    }
    case 'failed':
      if (told.isFinal) outbox.settle(told.id);
      else outbox.failed(told.id);
      break;
    case 'presence':
      hearPresence(told);
  }
}

/** An own message stays pending until it is acknowledged, although others may see it before. */
function showLive(message) {
  const isPending = outbox.messages.some(({ id }) => id === message.id);
  const isOwn = message.person === person;
  if (isPending) log.show(message, { pending: true });
  else log.show(message, isOwn ? undefined : { delayMs: line.nowMs - message.sentMs });
}

function hearPresence(told) {
  ({ people, places } = told);
  line.others = places.flatMap(({ url }) => (url ? [new URL(url).origin] : []));
  for (const place of places) regionOf.set(place.node, place.region);
  isLed = told.primary !== undefined;
  if (isLed && told.primary !== primary) {
    if (primary !== undefined) log.note(`${cityOf(regionOf.get(told.primary) ?? told.primary)} leads`);
    primary = told.primary;
  }
  showPresence();
  showLine();
}

function showPresence() {
  const leading = isLed ? regionOf.get(primary) : undefined;
  const cards = [...new Set([home, ...regionOf.values()])].sort().map((known) => {
    const here = people.filter((one) => one.region === known);
    const isThere = places.some((place) => place.region === known);
    const card = make('li', isThere || places.length === 0 ? 'region' : 'region gone');
    card.style.setProperty('--hue', hueOf(known));
    card.dataset.region = known;
    const title = make('h2', '', make('span', '', cityOf(known)), make('small', '', known));
    if (known === leading) title.append(make('span', 'lead', 'leads'));
    card.append(title);
    if (!isThere && places.length > 0) card.append(make('p', 'state', 'does not answer'));
    else if (here.length === 0) card.append(make('p', 'state', 'nobody'));
    if (here.length > 0) card.append(make('ul', 'people', ...here.map(personRow)));
    return card;
  });
  $('regions').replaceChildren(...cards);
}

function personRow(one) {
  const row = make('li', 'person');
  row.style.setProperty('--hue', hueOf(one.region));
  const label = make('span', '', one.name);
  if (one.id === person) label.append(make('small', '', ' (you)'));
  const avatar = make('span', 'avatar', initialsOf(one.name));
  avatar.title = one.name;
  row.append(avatar, label);
  return row;
}

function showLine() {
  const { state, roundTripMs } = line;
  const rest = roundTripMs === undefined ? '' : `, ${durationOf(roundTripMs)}`;
  $('line').dataset.state = state;
  const texts = {
    connected: `connected${rest}`,
    elsewhere: `${cityOf(home)} is away: connected to ${cityOf(region)}${rest}`,
    connecting: 'connecting again',
  };
  $('line').querySelector('span').textContent = texts[state];
  if (state === 'elsewhere' && !wasElsewhere)
    log.note(`${cityOf(home)} does not answer, connected to ${cityOf(region)}`);
  if (state === 'connected' && wasElsewhere) log.note(`connected to ${cityOf(home)} again`);
  if (state !== 'connecting') wasElsewhere = state === 'elsewhere';
}

/** What waits is worth a word only when it takes longer than usual. */
function showWaiting() {
  const [first] = outbox.messages;
  const waitedMs = first ? line.nowMs - first.sentMs : 0;
  const isSlow = waitedMs > slowToWriteMs;
  $('waiting').hidden = !isSlow;
  if (!isSlow) return;
  const count = outbox.messages.length;
  const why = line.state === 'connecting' ? 'a connection' : 'a node that leads';
  $('waiting').textContent =
    `${count === 1 ? 'A message waits' : `${count} messages wait`} for ${why}: ${durationOf(waitedMs)}`;
  for (const { id } of outbox.messages) log.tell(id, { pending: true, text: 'waiting' });
}

function send() {
  const text = $('text').value.trim();
  if (text === '') return;
  $('text').value = '';
  const message = { id: randomId(), text, sentMs: line.nowMs };
  log.show({ ...message, person, name, region }, { pending: true, text: 'sending' });
  $('empty').hidden = true;
  log.toEnd();
  outbox.add(message);
}

$('form').onsubmit = (event) => {
  event.preventDefault();
  send();
};
$('text').onkeydown = (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
};
$('name').onchange = () => {
  name = $('name').value.trim() || name;
  $('name').value = name;
  localStorage.setItem('chat-name', name);
  line.say({ type: 'name', name });
};
$('earlier').onclick = () => line.say({ type: 'earlier', before: log.firstNumber });

function make(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

function kept(storage, key, first) {
  const value = storage.getItem(key) ?? first();
  storage.setItem(key, value);
  return value;
}

/** `crypto.randomUUID` is there for https only. */
function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
}
