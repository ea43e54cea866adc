import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Browser, chromium, type Page } from 'playwright-core';
import { doorPorts } from '../../test/support/door-ports.ts';
import { post, TestCandidates } from '../../test/support/test-candidates.ts';
import type { TestNode } from '../../test/support/test-node.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { skipWithout } from '../../test/tools.ts';

const names = ['ams', 'ord', 'syd'];
const people: Readonly<Record<string, string>> = { ams: 'Anna', ord: 'Oscar', syd: 'Sofia' };
const options = { skip: skipWithout('chromium'), timeout: 120_000 };
const leaseTtlMs = 2_000;

/** Three regions with the chat, and in each a page of a browser. */
class ChatRegions {
  readonly candidates: TestCandidates;
  readonly urls: ReadonlyMap<string, string>;
  readonly pages = new Map<string, Page>();
  /** What went wrong in the pages. */
  readonly errors: string[] = [];

  private constructor(candidates: TestCandidates, urls: ReadonlyMap<string, string>) {
    this.candidates = candidates;
    this.urls = urls;
  }

  static async start(t: TestContext): Promise<ChatRegions> {
    const planned = await doorPorts(names);
    const urls = new Map([...planned.ports].map(([name, port]) => [name, `http://127.0.0.1:${port}`]));
    const nodes = Object.fromEntries(
      Object.entries(planned.nodes).map(([name, { environment }]) => [
        name,
        { environment: { ...environment, SKEIN_ENV_CHAT_URL: urls.get(name) ?? '' } },
      ]),
    );
    const program = (file: string) => `exec ${process.execPath} ${resolve(import.meta.dirname, file)}`;
    const toml = `[deploy]
release_command = "${program('migrate.ts')}"
[processes]
web = "${program('web.ts')}"
`;
    const candidates = await TestCandidates.start(t, { toml, nodes, ttl: `${leaseTtlMs}ms` });
    const regions = new ChatRegions(candidates, urls);
    const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
    t.after(() => browser.close());
    for (const name of names) await regions.#open(browser, name);
    return regions;
  }

  page(name: string): Page {
    const page = this.pages.get(name);
    assert.ok(page, name);
    return page;
  }

  async write(name: string, text: string): Promise<void> {
    await this.page(name).fill('#text', text);
    await this.page(name).press('#text', 'Enter');
  }

  /** Without the keys. */
  async writeFast(name: string, text: string): Promise<void> {
    const script = `document.querySelector('#text').value = ${JSON.stringify(text)};
      document.querySelector('#form').requestSubmit();`;
    await this.page(name).evaluate(script);
  }

  /** The texts on a page that are acknowledged, in their order. */
  async texts(name: string): Promise<string[]> {
    return this.page(name).locator('.message:not(.pending) .text').allTextContents();
  }

  async waitForTexts(wanted: readonly string[], among: readonly string[] = names): Promise<void> {
    for (const name of among) {
      await waitFor(
        `${wanted.length} messages on the page of ${name}`,
        async () => (await this.texts(name)).filter((text) => wanted.includes(text)).length >= wanted.length,
        { timeoutMs: 30_000, state: () => this.errors.join('\n') },
      );
    }
  }

  /** What the page says of a region: its name, who is there, whether it leads. */
  region(page: string, region: string): Promise<string> {
    return this.page(page).locator(`[data-region="${region}"].region`).innerText();
  }

  /** How far the page is scrolled away from the newest message. */
  async pixelsFromEnd(name: string): Promise<number> {
    const script = '(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight)';
    return this.page(name).evaluate<number>(`${script}(document.querySelector('#scroll'))`);
  }

  state(name: string): Promise<string | null> {
    return this.page(name).locator('#line').getAttribute('data-state');
  }

  async #open(browser: Browser, name: string): Promise<void> {
    const url = this.urls.get(name) ?? '';
    const isUp = async () => (await fetch(url).catch(() => undefined))?.status === 200;
    await waitFor(`the app of ${name}`, isUp, { state: () => this.candidates.node(name).tail() });
    const page = await browser.newPage();
    this.pages.set(name, page);
    page.on('pageerror', (error) => this.errors.push(`${name}: ${error.stack}`));
    await page.goto(`${url}/?name=${people[name]}`);
    await waitFor(`the page of ${name} to connect`, async () => (await this.state(name)) === 'connected', {
      state: () => this.errors.join('\n'),
    });
  }
}

function rowsOf(node: TestNode): { text: string; number: number; written_in: string }[] {
  const database = new DatabaseSync(node.path('chat.db'), { readOnly: true });
  const rows = database.prepare('SELECT number, text, written_in FROM messages ORDER BY number').all();
  database.close();
  return rows as { text: string; number: number; written_in: string }[];
}

test(
  'pages in three regions see who is where, who leads, and each other’s messages with their delay',
  options,
  async (t) => {
    const regions = await ChatRegions.start(t);
    const leader = await regions.candidates.leader();
    for (const page of names) {
      assert.equal(await regions.page(page).locator('html').getAttribute('data-region'), page);
      for (const region of names) {
        await waitFor(`${people[region]} in ${region}, seen in ${page}`, async () =>
          (await regions.region(page, region)).includes(people[region] ?? ''),
        );
        assert.equal((await regions.region(page, region)).includes('leads'), region === leader.name);
      }
    }
    const written: string[] = [];
    for (const name of names) {
      written.push(`hello from ${name}`);
      await regions.write(name, `hello from ${name}`);
      await regions.waitForTexts(written);
    }
    for (const page of names) {
      assert.deepEqual(await regions.texts(page), written);
      for (const told of await regions.page(page).locator('.told').allTextContents())
        assert.match(told, /^\d+ ms$/);
    }
    assert.deepEqual(
      rowsOf(leader).map(({ written_in }) => written_in),
      Array(3).fill(leader.name),
    );

    await regions.page('syd').close();
    for (const page of ['ams', 'ord'])
      await waitFor('Sofia to be gone', async () => !(await regions.region(page, 'syd')).includes('Sofia'));
    const reloaded = regions.page('ord');
    await reloaded.reload();
    await regions.waitForTexts(written, ['ord']);
    assert.deepEqual(regions.errors, []);
  },
);

test('history is read from the file of the node, the newest part first', options, async (t) => {
  const regions = await ChatRegions.start(t);
  const database = new DatabaseSync((await regions.candidates.leader()).path('chat.db'), { timeout: 5_000 });
  const insert = database.prepare(
    `INSERT INTO messages (id, person, name, region, text, sent_ms, written_in)
       VALUES (?, 'somebody', 'Somebody', 'ams', ?, 0, 'ams')`,
  );
  const all = Array.from({ length: 130 }, (_, index) => `message ${index + 1}`);
  for (const text of all) insert.run(text, text);
  database.close();
  await regions.waitForTexts(all);
  const page = regions.page('syd');
  await page.reload();
  await regions.waitForTexts(all.slice(30), ['syd']);
  assert.deepEqual(await regions.texts('syd'), all.slice(30));
  await page.locator('#earlier').click();
  await regions.waitForTexts(all, ['syd']);
  assert.deepEqual(await regions.texts('syd'), all);
  assert.ok(await page.locator('#earlier').isHidden(), 'there is nothing earlier');
  assert.deepEqual(regions.errors, []);
});

test('a message whose acknowledgement is lost is sent again, and written once', options, async (t) => {
  const regions = await ChatRegions.start(t);
  let lost = 0;
  const page = regions.page('syd');
  await page.routeWebSocket(/socket$/, (near) => {
    const far = near.connectToServer();
    far.onMessage((message) => {
      if (lost < 3 && message.toString().includes('"type":"written"')) {
        lost += 1;
        far.close();
        near.close();
      } else near.send(message);
    });
  });
  await page.reload();
  await waitFor('the page to connect', async () => (await regions.state('syd')) === 'connected');
  const written = ['first', 'second', 'third'];
  for (const text of written) await regions.write('syd', text);
  await regions.waitForTexts(written);
  assert.equal(lost, 3);
  for (const name of names) assert.deepEqual(await regions.texts(name), written, name);
  const rows = rowsOf(await regions.candidates.leader());
  assert.deepEqual(
    rows.map(({ text }) => text),
    written,
  );
  assert.deepEqual(regions.errors, []);
});

test('handoffs while all write lose no message, and each is shown once on each page', options, async (t) => {
  const regions = await ChatRegions.start(t);
  let isOver = false;
  const written: string[] = [];
  const writers = names.map(async (name) => {
    for (let count = 1; !isOver; count += 1) {
      const text = `${name} ${count}`;
      written.push(text);
      await regions.writeFast(name, text);
      await delay(20);
    }
  });
  const running = Promise.all(writers);
  running.catch(() => undefined);
  for (let round = 0; round < 3; round += 1) {
    const leader = await regions.candidates.settled();
    const target = regions.candidates.others(leader)[round % 2];
    await delay(500);
    const answer = await post(leader, '/handoff', { node: target?.name ?? '' });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
  }
  await delay(500);
  isOver = true;
  await running;
  await regions.waitForTexts(written);
  await regions.candidates.waitInStep();
  t.diagnostic(`${written.length} messages over three handoffs`);
  const rows = rowsOf(await regions.candidates.leader()).map(({ text }) => text);
  assert.deepEqual(rows.toSorted(), written.toSorted(), 'each is written once');
  for (const name of names) {
    assert.deepEqual(await regions.texts(name), rows, `${name} shows each once, in the same order`);
    const own = rows.filter((text) => text.startsWith(name));
    assert.deepEqual(
      own,
      written.filter((text) => text.startsWith(name)),
      `${name} in its own order`,
    );
    assert.equal(await regions.state(name), 'connected', 'no page has lost its connection');
    await waitFor(`${name} to show the newest`, async () => (await regions.pixelsFromEnd(name)) < 2);
  }
  assert.deepEqual(regions.errors, []);
});

test(
  'a primary killed with -9: its page goes on elsewhere, messages wait and are written once, and it comes back',
  options,
  async (t) => {
    const regions = await ChatRegions.start(t);
    const leader = await regions.candidates.leader();
    const others = regions.candidates.others(leader).map(({ name }) => name);
    await regions.write(leader.name, 'before');
    await regions.waitForTexts(['before']);
    const killedMs = performance.now();
    const killed = leader.kill();
    for (const name of names) await regions.write(name, `while nobody leads, ${name}`);
    await killed;
    for (const name of others) {
      const waiting = regions.page(name).locator('#waiting');
      await waiting.waitFor({ state: 'visible', timeout: 5_000 });
      assert.match(await waiting.innerText(), /waits for a node that leads/);
    }
    // What waits is kept over a reload.
    await regions.page(others[0] ?? '').reload();
    const all = ['before', ...names.map((name) => `while nobody leads, ${name}`)];
    await regions.waitForTexts(all);
    const tookMs = performance.now() - killedMs;
    t.diagnostic(`all pages went on ${Math.round(tookMs)} ms after the kill, with a TTL of ${leaseTtlMs} ms`);
    assert.ok(tookMs < leaseTtlMs + 8_000, `${tookMs} ms`);
    assert.equal(await regions.state(leader.name), 'elsewhere');
    for (const name of names) {
      const texts = await regions.texts(name);
      assert.deepEqual(texts.toSorted(), all.toSorted());
    }
    const [other = ''] = others;
    await waitFor('the others to see that it is away', async () =>
      (await regions.region(other, leader.name)).includes('does not answer'),
    );
    await leader.start();
    await waitFor('its page to go home', async () => (await regions.state(leader.name)) === 'connected');
    await regions.write(leader.name, 'home again');
    await regions.waitForTexts([...all, 'home again']);
    await waitFor('the others to see that it is back', async () =>
      (await regions.region(other, leader.name)).includes(people[leader.name] ?? ''),
    );
    assert.deepEqual(regions.errors, []);
  },
);
