import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ChildTask } from './child-task.ts';
import type { DelayRelayInput } from './delay-relay.ts';
import type { HttpLoadInput, HttpLoadResult } from './http-load.ts';
import { figureOf, type Measure, type MeasureContext } from './measure.ts';
import { BenchNode, freePorts, staticLease } from './nodes.ts';
import { availableProxies, doorVariables, type ProxyKind, type RunningProxy, startProxy } from './proxies.ts';
import type { RawHttpAppInput } from './raw-http-app.ts';
import type { Figure, Target } from './result.ts';

type Contender = ProxyKind | 'app';
type Round = ReadonlyMap<Contender, { readonly loaded: HttpLoadResult; readonly alone: HttpLoadResult }>;

const connections = 32;
const labels: Record<Contender, string> = {
  app: 'the app alone',
  door: 'the door',
  nginx: 'nginx, one worker',
  haproxy: 'HAProxy, one thread',
  'http-proxy-3': 'http-proxy-3',
};
/** The door's rate by theirs. */
const ratioTargets: Partial<Record<Contender, Target>> = {
  nginx: { bound: 'at least', value: 0.6 },
  'http-proxy-3': { bound: 'at least', value: 3 },
};
const addedTarget: Target = { bound: 'at most', value: 0.2 };
const forwardTarget: Target = { bound: 'at most', value: 1 };
/** Between two regions, there and back. */
const roundTripsMs = [0, 80] as const;

/** What the door costs, beside other proxies, and what it costs to send a write to another region. */
export const measureDoor: Measure = {
  id: 'door',
  async run(context) {
    const directory = join(context.directory, 'door');
    mkdirSync(directory, { recursive: true });
    const [appPort] = await freePorts(1);
    const appInput: RawHttpAppInput = { port: appPort };
    const app = new ChildTask('raw-http-app.ts', appInput);
    try {
      await app.ready;
      const rounds = await compare(context, directory, appPort);
      const forwards: Figure[] = [];
      for (const roundTripMs of roundTripsMs)
        forwards.push(...(await forwarded(context, directory, appPort, roundTripMs)));
      return {
        id: 'door',
        title: `The door in front of an app, ${connections} connections`,
        about:
          'Requests with five header fields, responses of 100 bytes, over connections that stay open on both sides; the app gives the same bytes to every request, so that the proxies are what is measured. Load, proxy and app are one process each and share the cores. Added: over one connection, one request after the other, compared with the app alone. Forwarded: a POST through the door of a replica and a tunnel to the door and the app of the primary, compared with the same sent straight to the primary’s door over an equal link, and with what a proxy in front pays that asks the replica’s door first and sends it to the primary’s as that says (`forward = "fly-replay"`).',
        figures: [...proxyFigures(rounds), ...forwards],
      };
    } finally {
      app.kill();
      await app.result.catch(() => undefined);
      rmSync(directory, { recursive: true, force: true });
    }
  },
};

async function compare(context: MeasureContext, directory: string, appPort: number): Promise<Round[]> {
  const proxies: RunningProxy[] = [];
  const rounds: Round[] = [];
  try {
    for (const kind of availableProxies()) proxies.push(await startProxy(kind, directory, appPort));
    const ports: [Contender, number][] = [['app', appPort], ...proxies.map(portOf)];
    const count = context.quick ? 1 : 5;
    for (let round = 1; round <= count; round += 1) {
      const results = new Map<Contender, { loaded: HttpLoadResult; alone: HttpLoadResult }>();
      for (const [contender, port] of ports) {
        context.progress(`${labels[contender]}, round ${round} of ${count}`);
        const loaded = await load(context, { port, connections, method: 'GET' });
        const alone = await load(context, { port, connections: 1, method: 'GET' });
        results.set(contender, { loaded, alone });
      }
      rounds.push(results);
    }
  } finally {
    for (const proxy of proxies) await proxy.stop();
  }
  return rounds;
}

function portOf({ kind, port }: RunningProxy): [Contender, number] {
  return [kind, port];
}

async function load(
  { quick }: MeasureContext,
  to: Pick<HttpLoadInput, 'port' | 'replayPort' | 'connections' | 'method'>,
): Promise<HttpLoadResult> {
  const input: HttpLoadInput = {
    ...to,
    path: '/items/1?view=short',
    headers: ['Cookie: session=0123456789abcdef'],
    warmUpMs: 1_000,
    durationMs: quick ? 1_500 : 3_000,
  };
  const result = await new ChildTask<HttpLoadResult>('http-load.ts', input).result;
  if (result.failed > 0) throw new Error(`${result.failed} requests failed`);
  return result;
}

function proxyFigures(rounds: readonly Round[]): Figure[] {
  const contenders = [...(rounds[0]?.keys() ?? [])];
  const of = (
    contender: Contender,
    pick: (one: { loaded: HttpLoadResult; alone: HttpLoadResult }) => number,
  ) =>
    rounds.flatMap((round) => {
      const one = round.get(contender);
      return one ? [pick(one)] : [];
    });
  const rate = (contender: Contender) => of(contender, ({ loaded }) => loaded.requestsPerSecond);
  const alone = (contender: Contender, part: 'p50' | 'p99') =>
    of(contender, (one) => one.alone.latency[part]);
  const rates = contenders.map((one) =>
    figureOf({ id: `door.rate.${one}`, label: `requests/s, ${labels[one]}`, unit: '/s' }, rate(one)),
  );
  const others = contenders.filter((one) => one !== 'app' && one !== 'door');
  const ratios = others.map((one) => {
    const target = ratioTargets[one];
    const label = `the door’s requests/s, of ${labels[one]}`;
    const values = rate('door').map((value, index) => value / rate(one)[index]);
    return figureOf({ id: `door.ratio.${one}`, label, unit: '×', ...(target ? { target } : {}) }, values);
  });
  const added = contenders
    .filter((one) => one !== 'app')
    .flatMap((one) =>
      (['p50', 'p99'] as const).map((part) => {
        const isAim = one === 'door' && part === 'p50';
        const label = `added by ${labels[one]}, ${part}`;
        const values = alone(one, part).map((value, index) => value - alone('app', part)[index]);
        return figureOf(
          { id: `door.added.${one}.${part}`, label, unit: 'ms', ...(isAim ? { target: addedTarget } : {}) },
          values,
        );
      }),
    );
  return [...rates, ...ratios, ...added];
}

/** A primary and two replicas with doors, the link between them so long. One of them answers writes with `fly-replay`. */
async function forwarded(
  context: MeasureContext,
  directory: string,
  appPort: number,
  roundTripMs: number,
): Promise<Figure[]> {
  const [linkPort, straightPort, primaryPort, replicaPort, replayPort] = await freePorts(5);
  const [primaryDoor, replicaDoor, replayDoor] = await freePorts(3);
  const links = [
    startLink(linkPort, primaryPort, roundTripMs),
    // What a client in the replica's region would have without a door there.
    startLink(straightPort, primaryDoor, roundTripMs),
  ];
  const url = `http://127.0.0.1:${linkPort}`;
  const primary = new BenchNode(
    { name: `primary-${roundTripMs}`, directory, port: primaryPort },
    staticLease(url),
    { ...doorVariables(primaryDoor, appPort), SKEIN_NODE_ADVERTISE: url },
  );
  const replica = new BenchNode(
    { name: `replica-${roundTripMs}`, directory, port: replicaPort },
    staticLease(url),
    doorVariables(replicaDoor, appPort),
  );
  const replaying = new BenchNode(
    { name: `replaying-${roundTripMs}`, directory, port: replayPort },
    staticLease(url),
    { ...doorVariables(replayDoor, appPort), SKEIN_HTTP_FORWARD: 'fly-replay' },
  );
  const nodes = [primary, replica, replaying];
  try {
    await Promise.all(links.map(({ ready }) => ready));
    for (const node of nodes) {
      await node.start();
      await node.healthy();
    }
    const values: number[] = [];
    const costs: number[] = [];
    const replays: number[] = [];
    for (let round = 1; round <= (context.quick ? 1 : 3); round += 1) {
      context.progress(`forwarded writes at ${roundTripMs} ms, round ${round}`);
      const post = { connections: 1, method: 'POST' } as const;
      const there = await load(context, { ...post, port: replicaDoor });
      const straight = await load(context, { ...post, port: straightPort });
      const replayed = await load(context, { ...post, port: replayDoor, replayPort: straightPort });
      values.push(there.latency.p50);
      costs.push(there.latency.p50 - straight.latency.p50);
      replays.push(replayed.latency.p50);
    }
    const id = `door.forwarded.${roundTripMs}`;
    const label = `forwarded write, ${roundTripMs} ms between regions`;
    return [
      figureOf({ id, label: `${label}, p50`, unit: 'ms' }, values),
      figureOf(
        { id: `${id}.cost`, label: `${label}, more than straight there`, unit: 'ms', target: forwardTarget },
        costs,
      ),
      figureOf(
        { id: `${id}.replay`, label: `the same by a proxy that honours fly-replay, p50`, unit: 'ms' },
        replays,
      ),
    ];
  } finally {
    for (const node of nodes.toReversed()) await node.stop();
    for (const link of links) {
      link.kill();
      await link.result.catch(() => undefined);
    }
  }
}

function startLink(port: number, targetPort: number, roundTripMs: number): ChildTask<unknown> {
  const input: DelayRelayInput = { port, targetPort, delayMs: roundTripMs / 2 };
  return new ChildTask('delay-relay.ts', input);
}
