import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { doorPorts } from './door-ports.ts';
import { TestCandidates } from './test-candidates.ts';
import type { TestNode } from './test-node.ts';
import { waitFor } from './wait-for.ts';

const names = ['ams', 'ord', 'syd'];

export type ExampleOptions = {
  /** Where the example's `skein.toml` is, and its commands run. */
  readonly directory: string;
  /** What a GET answers with 200 when the app is there. */
  readonly readyPath: string;
  /** Clients come by a door, and not to the app itself. */
  readonly hasDoor: boolean;
  readonly environment?: Readonly<Record<string, string>>;
};

/** An app of `examples/` in three regions, each node a candidate. */
export class ExampleNodes {
  readonly candidates: TestCandidates;
  readonly #ports: ReadonlyMap<string, number>;

  private constructor(candidates: TestCandidates, ports: ReadonlyMap<string, number>) {
    this.candidates = candidates;
    this.#ports = ports;
  }

  /** Starts them, and waits until the app answers in every region. */
  static async start(t: TestContext, options: ExampleOptions): Promise<ExampleNodes> {
    const { ports, nodes } = await doorPorts(names, options.hasDoor);
    const environment = {
      SKEIN_CONFIG: join(options.directory, 'skein.toml'),
      SKEIN_NODE_CANDIDATE: 'true',
      // The commands say `node`, and are to find this one.
      PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
      ...options.environment,
    };
    const candidates = await TestCandidates.start(t, { nodes, environment });
    const all = new ExampleNodes(candidates, ports);
    await Promise.all(candidates.nodes.map((node) => all.#ready(node, options.readyPath)));
    return all;
  }

  url(node: TestNode): string {
    return `http://127.0.0.1:${this.#ports.get(node.name)}`;
  }

  /** As a browser does, but for following where it is sent: with the cookies of `session`, which takes those of the answer. */
  async ask(
    node: TestNode,
    path: string,
    { session, ...init }: RequestInit & { session?: Map<string, string> } = {},
  ): Promise<Response> {
    const headers = new Headers(init.headers);
    if (session?.size) headers.set('cookie', [...session].map((pair) => pair.join('=')).join('; '));
    const rest = { headers, redirect: 'manual', signal: AbortSignal.timeout(30_000) } as const;
    const response = await fetch(this.url(node) + path, { ...init, ...rest });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (name !== undefined && value !== undefined) session?.set(name, value);
    }
    return response;
  }

  async #ready(node: TestNode, path: string): Promise<void> {
    const isReady = () =>
      this.ask(node, path).then(
        ({ status }) => status === 200,
        () => false,
      );
    await waitFor(`the app in ${node.name}`, isReady, { state: () => node.tail() });
  }
}
