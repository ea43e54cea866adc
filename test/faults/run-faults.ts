import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { assertInStep, sqlite3 } from '../support/checks.ts';
import { SeededNumbers } from '../support/random.ts';
import { waitFor } from '../support/wait-for.ts';
import { Disasters } from './disasters.ts';
import { DoorSession } from './door-session.ts';
import { DoorWriter } from './door-writer.ts';
import { Faults } from './faults.ts';
import { History, nowMs } from './history.ts';
import { type Plan, planOf, type Round } from './plan.ts';
import { Session } from './session.ts';
import { Timeline } from './timeline.ts';
import type { Turns } from './turns.ts';
import { World } from './world.ts';
import { Writer } from './writer.ts';

const writePauseMs = 15;
const writersOfNode = 2;
const sessions = 3;
const doorSessions = 3;

export type FaultRunOptions = {
  readonly seed: number;
  readonly minutes: number;
  /** Instead of what the seed says. */
  readonly plan?: Plan;
  /** For all nodes. */
  readonly environment?: Readonly<Record<string, string>>;
};

/** Runs rounds of faults until the time is over. Rejects with what went wrong, and how to have it again. */
export async function runFaults(t: TestContext, options: FaultRunOptions): Promise<void> {
  const { seed, minutes, environment } = options;
  assert.ok(Number.isSafeInteger(seed) && seed >= 0, 'the seed is a whole number');
  assert.ok(minutes >= 0, 'the minutes are a number');
  const plan = options.plan ?? planOf(seed, new SeededNumbers(seed));
  t.diagnostic(`seed ${seed}: ${plan.count} nodes, ${plan.lease} lease`);
  const world = await World.open(t, { ...plan, ...(environment ? { environment } : {}) });
  const run = new FaultRun(world);
  try {
    await run.start();
    const untilMs = nowMs() + minutes * 60_000;
    let rounds = 0;
    for (; rounds === 0 || nowMs() < untilMs; rounds += 1) await run.round(plan.round());
    t.diagnostic(`${rounds} rounds: ${run.summary()}`);
  } catch (error) {
    const repeat = `npm run test:soak -- --seed ${seed} --minutes ${Math.ceil(minutes * 10) / 10}`;
    const what = error instanceof Error ? error.message : String(error);
    assert.fail([what, `To have it again: ${repeat}`, run.timeline.text(), world.tails()].join('\n\n'));
  } finally {
    await run.stop();
  }
}

class FaultRun {
  readonly timeline = new Timeline();
  readonly #world: World;
  readonly #history = new History();
  readonly #faults: Faults;
  readonly #disasters: Disasters;
  #writers: { readonly turns: Turns }[] = [];
  #sessions: Session[] = [];

  constructor(world: World) {
    this.#world = world;
    this.#faults = new Faults(world, this.#history, this.timeline);
    this.#disasters = new Disasters(world, this.timeline);
  }

  summary(): string {
    const { written, acknowledged, reads, abandoned, commits } = this.#history;
    const { writtenByDoor, confirmedByDoor, refusedByDoor, readsByDoor } = this.#history;
    const epochs = new Set(commits.map(({ epoch }) => epoch)).size;
    return [
      `${written} writes, ${acknowledged.size} acknowledged, in ${epochs} epochs; ${reads} reads, ${abandoned.length} sessions began anew`,
      `through doors: ${writtenByDoor} writes, ${confirmedByDoor.size} confirmed, ${refusedByDoor.size} refused; ${readsByDoor} reads`,
    ].join('; ');
  }

  async start(): Promise<void> {
    const { nodes } = this.#world;
    await Promise.all(nodes.map(({ node }) => node.start()));
    await this.#world.settled();
    this.timeline.add('all nodes are up');
    const history = this.#history;
    this.#writers = nodes.flatMap((node) => [
      ...Array.from(
        { length: writersOfNode },
        (_, index) => new Writer(`${node.name}${index}`, node, history, writePauseMs),
      ),
      new DoorWriter(`door-${node.name}`, node, history),
    ]);
    for (let index = 0; index < doorSessions; index += 1)
      this.#writers.push(new DoorSession(`door-session${index}`, nodes, index % nodes.length, history));
    this.#sessions = Array.from(
      { length: sessions },
      (_, index) => new Session(`session ${index}`, nodes, index % nodes.length, history),
    );
    await this.#progress();
  }

  async round({ steps, restMs, disaster }: Round): Promise<void> {
    const victim =
      disaster && disaster.kind !== 'empty-store'
        ? await this.#faults.node(disaster.target)
        : this.#world.nodes[0];
    if (disaster?.kind === 'restore' && victim) {
      await this.#disasters.copy(victim);
      await this.#world.settled();
      await this.#progress();
    }
    for (const { afterMs, fault } of steps) {
      await delay(afterMs);
      await this.#faults.begin(fault);
    }
    await delay(restMs);
    await this.#faults.heal();
    if (disaster && victim) {
      await this.#world.settled();
      await this.#progress();
      await this.#disasters.do(disaster, victim);
      await this.#world.settled();
    }
    await this.#check();
  }

  /** Never rejects: the failure that brought it here is the one to tell. */
  async stop(): Promise<void> {
    await this.#faults.heal().catch(() => undefined);
    const writing = this.#writers.map((writer) => writer.turns.stop());
    await Promise.all([...writing, ...this.#sessions.map((session) => session.stop())]);
  }

  /** Some writes are acknowledged from here on: else a run would check nothing. */
  async #progress(): Promise<void> {
    const { acknowledged, confirmedByDoor } = this.#history;
    const [count, countByDoor] = [acknowledged.size + 10, confirmedByDoor.size + 10];
    await waitFor(
      'writes to be acknowledged',
      () => acknowledged.size >= count && confirmedByDoor.size >= countByDoor,
      { timeoutMs: 60_000 },
    );
  }

  async #check(): Promise<void> {
    await this.#world.settled();
    await this.#progress();
    await Promise.all(this.#writers.map((writer) => writer.turns.pause()));
    this.timeline.add('check');
    await assertInStep(this.#group(), 60_000);
    for (const { node } of this.#world.nodes) {
      const rows = await sqlite3(node.path('app.db'), 'SELECT value FROM mark');
      this.#checkValues(node.name, rows.split('\n'));
    }
    this.#checkArrivals();
    this.#history.conclude();
    assert.deepEqual(this.#history.wrongs, [], this.#history.wrongs.join('\n'));
    this.timeline.add(`all is well: ${this.summary()}`);
    for (const writer of this.#writers) writer.turns.resume();
  }

  #checkValues(node: string, rows: readonly string[]): void {
    const { acknowledged, confirmedByDoor, refusedByDoor } = this.#history;
    const values = new Set(rows);
    const missing = (promised: Iterable<string>) => [...promised].filter((value) => !values.has(value));
    this.#mustBeNone(`${node} lacks`, 'acknowledged writes', missing(acknowledged.keys()));
    this.#mustBeNone(`${node} lacks`, 'writes that a door has confirmed', missing(confirmedByDoor.keys()));
    this.#mustBeNone(`${node} has twice`, 'writes', repeated(rows));
    const denied = [...refusedByDoor].filter((value) => values.has(value));
    this.#mustBeNone(`${node} has`, 'writes that a door has said not to be written', denied);
  }

  /** What was lost after it had come, or failed, may not have been sent anew either. */
  #checkArrivals(): void {
    const arrivals = this.#world.arrivals();
    this.#mustBeNone('the apps were asked twice for', 'writes', repeated(arrivals));
    const came = new Set(arrivals);
    const denied = [...this.#history.refusedByDoor].filter((value) => came.has(value));
    this.#mustBeNone('the apps were asked for', 'writes that a door has said not to be written', denied);
  }

  #mustBeNone(who: string, what: string, values: readonly string[]): void {
    if (values.length > 0)
      this.#history.wrong(`${who} ${values.length} ${what}: ${values.slice(0, 5).join(', ')} …`);
  }

  #group(): Parameters<typeof assertInStep>[0] {
    const world = this.#world;
    return {
      directory: world.directory,
      nodes: world.nodes.map(({ node }) => node),
      waitInStep: (timeoutMs) => world.waitInStep(timeoutMs),
    };
  }
}

function repeated(values: readonly string[]): string[] {
  const seen = new Set<string>();
  return values.filter((value) => seen.size === seen.add(value).size);
}
