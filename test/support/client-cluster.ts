import { request } from 'node:http';
import { resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { TestContext } from 'node:test';
import { freePorts } from './free-ports.ts';
import { type CandidatesOptions, TestCandidates } from './test-candidates.ts';
import type { TestNode } from './test-node.ts';
import { waitFor } from './wait-for.ts';

const apps = resolve(import.meta.dirname, '../client-apps');
const schema =
  'PRAGMA journal_mode=WAL; CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL, node TEXT NOT NULL)';

export type AppAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  readonly json: Readonly<Record<string, unknown>>;
};

export type AppRequest = {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer | AsyncIterable<Buffer>;
};

/** Three nodes that each run one of the apps of `test/client-apps`. */
export class ClientCluster {
  readonly candidates: TestCandidates;
  readonly leader: TestNode;
  readonly #ports: ReadonlyMap<TestNode, number>;

  private constructor(candidates: TestCandidates, leader: TestNode, ports: ReadonlyMap<TestNode, number>) {
    this.candidates = candidates;
    this.leader = leader;
    this.#ports = ports;
  }

  /** Resolves when the app answers on every node. `command` is what runs it, with the path of the app at its end. */
  static async start(
    t: TestContext,
    app: string,
    options: CandidatesOptions & { readonly command?: string; readonly hasDoor?: boolean } = {},
  ): Promise<ClientCluster> {
    const names = ['ams', 'ord', 'syd'];
    const appPorts = await freePorts(names.length);
    const doorPorts = options.hasDoor ? await freePorts(names.length) : undefined;
    const ports = doorPorts ?? appPorts;
    const nodes = Object.fromEntries(
      names.map((name, index) => [
        name,
        {
          environment: {
            SKEIN_HTTP_SERVICE_INTERNAL_PORT: String(appPorts[index]),
            ...(doorPorts ? { SKEIN_HTTP_LISTEN: `127.0.0.1:${doorPorts[index]}` } : {}),
          },
        },
      ]),
    );
    const { command = `'${process.execPath}' --disable-warning=ExperimentalWarning`, toml = '' } = options;
    const release = `'${process.execPath}' -e 'new (require("node:sqlite").DatabaseSync)(process.env.SKEIN_DIR + "/app.db").exec("${schema}")'`;
    const candidates = await TestCandidates.create(t, {
      ...options,
      nodes,
      toml: `[deploy]\nrelease_command = ${JSON.stringify(release)}\n[processes]\nweb = ${JSON.stringify(`${command} '${resolve(apps, app)}'`)}\n${toml}`,
    });
    await Promise.all(candidates.nodes.map((node) => node.start()));
    const leader = await candidates.settled();
    const cluster = new ClientCluster(
      candidates,
      leader,
      new Map(candidates.nodes.map((node) => [node, ports[names.indexOf(node.name)] ?? 0])),
    );
    for (const node of candidates.nodes) {
      const answers = () =>
        cluster.ask(node, '/notes').then(
          ({ status }) => status === 200,
          () => false,
        );
      await waitFor(`the app on ${node.name}`, answers, { state: () => node.tail() });
    }
    return cluster;
  }

  /** The first node that does not lead. */
  get replica(): TestNode {
    const [first] = this.candidates.others(this.leader);
    return first as TestNode;
  }

  port(node: TestNode): number {
    return this.#ports.get(node) ?? 0;
  }

  /** Asks the app on a node, through the node's door if it has one. */
  ask(
    node: TestNode,
    path: string,
    { method = 'GET', headers = {}, body }: AppRequest = {},
  ): Promise<AppAnswer> {
    return new Promise((resolve, reject) => {
      const call = request(
        { port: this.port(node), host: '127.0.0.1', path, method, headers, agent: false },
        (answer) => {
          const chunks: Buffer[] = [];
          answer.on('data', (chunk: Buffer) => chunks.push(chunk));
          answer.on('error', reject);
          answer.on('end', () => {
            const whole = Buffer.concat(chunks);
            const json = parsed(whole);
            resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: whole, json });
          });
        },
      );
      call.setTimeout(30_000, () => call.destroy(new Error(`no answer from ${node.name}${path}`)));
      call.on('error', reject);
      if (body === undefined || typeof body === 'string' || Buffer.isBuffer(body)) call.end(body);
      else void sendAll(call, body).catch(reject);
    });
  }

  post(
    node: TestNode,
    path: string,
    body: object,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<AppAnswer> {
    const text = JSON.stringify(body);
    return this.ask(node, path, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'content-length': String(Buffer.byteLength(text)),
        ...headers,
      },
      body: text,
    });
  }

  /** The texts of the notes on a node, read from its file. */
  texts(node: TestNode): string[] {
    const database = new DatabaseSync(node.path('app.db'), { readOnly: true, timeout: 5_000 });
    try {
      return database
        .prepare('SELECT text FROM note ORDER BY id')
        .all()
        .map(({ text }) => String(text));
    } finally {
      database.close();
    }
  }
}

/** The cookie of ours that an answer sets, as a request carries it. */
export function sessionOf({ headers }: AppAnswer): string | undefined {
  const cookies = [headers['set-cookie'] ?? []].flat();
  return cookies.find((cookie) => cookie.startsWith('__txid='))?.split(';')[0];
}

function parsed(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(body.toString()) as Record<string, unknown>;
  } catch {
    return {};
  }
}

async function sendAll(call: ReturnType<typeof request>, body: AsyncIterable<Buffer>): Promise<void> {
  for await (const chunk of body) {
    if (!call.write(chunk)) await new Promise((resolve) => call.once('drain', resolve));
  }
  call.end();
}
