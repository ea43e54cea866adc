import { freePorts } from './free-ports.ts';

type NodeEnvironment = { readonly environment: Readonly<Record<string, string>> };

export type DoorPorts = {
  /** Where the clients of each node come in. */
  readonly ports: ReadonlyMap<string, number>;
  /** As `TestCandidates` takes it. */
  readonly nodes: Readonly<Record<string, NodeEnvironment>>;
};

/** Ports for the app of each node and the door in front of it, or for the app alone, and what tells the nodes of them. */
export async function doorPorts(names: readonly string[], hasDoor = true): Promise<DoorPorts> {
  const apps = await freePorts(names.length);
  const doors = hasDoor ? await freePorts(names.length) : undefined;
  const ports = new Map(names.map((name, index) => [name, (doors ?? apps)[index] ?? 0]));
  const environmentOf = (index: number): NodeEnvironment['environment'] => ({
    SKEIN_HTTP_SERVICE_INTERNAL_PORT: String(apps[index]),
    ...(doors ? { SKEIN_HTTP_LISTEN: String(doors[index]) } : {}),
  });
  const nodes = names.map((name, index) => [name, { environment: environmentOf(index) }] as const);
  return { ports, nodes: Object.fromEntries(nodes) };
}
