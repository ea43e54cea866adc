import { resolve } from 'node:path';
import type { TestContext } from 'node:test';
import { doorPorts } from './door-ports.ts';
import { type CandidatesOptions, TestCandidates } from './test-candidates.ts';
import type { TestNode } from './test-node.ts';
import { waitFor } from './wait-for.ts';

const app = resolve(import.meta.dirname, 'door-app.ts');
const names = ['ams', 'ord', 'syd'];

/** Three candidates with the tests' app, each behind a door. */
export class DoorNodes {
  readonly candidates: TestCandidates;
  readonly #ports: ReadonlyMap<string, number>;

  private constructor(candidates: TestCandidates, ports: ReadonlyMap<string, number>) {
    this.candidates = candidates;
    this.#ports = ports;
  }

  /** Starts them, and waits until each door's app answers. */
  static async start(t: TestContext, options: CandidatesOptions = {}): Promise<DoorNodes> {
    const planned = await doorPorts(names);
    const nodes = Object.fromEntries(
      Object.entries(planned.nodes).map(([name, { environment }]) => [
        name,
        { environment: { ...environment, ...options.nodes?.[name]?.environment } },
      ]),
    );
    const toml = `[deploy]
release_command = "${process.execPath} ${app} prepare"
[processes]
web = "exec ${process.execPath} ${app}"
`;
    const candidates = await TestCandidates.start(t, { toml, ...options, nodes });
    const all = new DoorNodes(candidates, planned.ports);
    await Promise.all(candidates.nodes.map((node) => all.ready(node)));
    return all;
  }

  /** The URL of a node's door. */
  url(node: TestNode): string {
    return `http://127.0.0.1:${this.port(node)}`;
  }

  port(node: TestNode): number {
    return this.#ports.get(node.name) ?? 0;
  }

  async ready(node: TestNode): Promise<void> {
    let last = 'nothing was answered';
    const isReady = async () => {
      try {
        const answer = await this.get(node, '/notes');
        last = `${answer.status} ${await answer.text()}`;
        return answer.status === 200;
      } catch (error) {
        last = String(error);
        return false;
      }
    };
    const state = () => `${node.tail()}\nlast answer: ${last}`;
    await waitFor(`the app of ${node.name} behind its door`, isReady, { state });
  }

  get(node: TestNode, path: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.url(node) + path, { headers, signal: AbortSignal.timeout(20_000) });
  }

  post(node: TestNode, path: string, body: string, headers: Record<string, string> = {}): Promise<Response> {
    const signal = AbortSignal.timeout(30_000);
    return fetch(this.url(node) + path, { method: 'POST', body, headers, signal });
  }
}
