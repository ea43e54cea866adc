import type { TestContext } from 'node:test';
import { freePorts } from './free-ports.ts';
import { Relay } from './relay.ts';
import type { CandidatesOptions } from './test-candidates.ts';

/** Every connection between nodes goes through the relay of the one that is connected to. `more` is for one node, by its name. */
export async function behindRelays(
  t: TestContext,
  more: Readonly<Record<string, Readonly<Record<string, string>>>> = {},
): Promise<{ relays: Relay[]; options: CandidatesOptions }> {
  const names = ['ams', 'ord', 'syd'];
  const ports = await freePorts(names.length);
  const relays = await Promise.all(ports.map((port) => Relay.start(t, port)));
  const nodes = names.map((name, index) => {
    const environment = { SKEIN_NODE_ADVERTISE: relays[index].url, ...more[name] };
    return [name, { port: ports[index], environment }] as const;
  });
  return { relays, options: { nodes: Object.fromEntries(nodes) } };
}
