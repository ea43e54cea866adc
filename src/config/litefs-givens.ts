import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { SkeinError } from '../base/errors.ts';
import type { LiteFsConfig } from './config.ts';
import { parseDurationMs } from './duration.ts';
import { isLoopback, isWildcard, parseListenAddress } from './listen-address.ts';
import { type LiteFsExec, readLiteFsExec } from './litefs-exec.ts';
import type { LiteFsFile, LiteFsValue } from './litefs-file.ts';
import { liteFsKeys } from './litefs-keys.ts';
import { dottedOf, keyList } from './schema.ts';
import type { Given } from './setting.ts';

const knownKeys = new Set(keyList.map(({ path }) => dottedOf(path)));
/** LiteFS's own defaults where they are not Skein's. */
const defaultDir = '/litefs';
const defaultPort = 20_202;

export type LiteFsGivens = {
  readonly givens: readonly Given[];
  /** Keys that the file has, and that have no meaning here. */
  readonly sections: readonly string[];
  readonly config: LiteFsConfig;
  /** The command that is kept running, as words. */
  readonly command: readonly string[] | undefined;
};

/** What a litefs.yml says, as the keys of Skein. Throws CONFIG_INVALID. */
export function readLiteFsGivens(file: LiteFsFile, env: NodeJS.ProcessEnv, cwd: string): LiteFsGivens {
  const reader = new LiteFsGivensReader(file, env, cwd);
  return reader.read();
}

class LiteFsGivensReader {
  readonly #file: LiteFsFile;
  readonly #env: NodeJS.ProcessEnv;
  readonly #cwd: string;
  readonly #givens: Given[] = [];
  readonly #sections: string[] = [];

  constructor(file: LiteFsFile, env: NodeJS.ProcessEnv, cwd: string) {
    this.#file = file;
    this.#env = env;
    this.#cwd = cwd;
  }

  read(): LiteFsGivens {
    for (const [name, { value, place }] of this.#file.values) {
      const key = liteFsKeys[name];
      if (key?.becomes !== undefined && this.#hasMeaning(name, key.becomes, value))
        this.#give(key.becomes, value, place);
      else if (key?.becomes !== undefined || key?.without !== undefined) this.#sections.push(name);
    }
    const { FLY_APP_NAME, HOSTNAME } = this.#env;
    this.#give('app', FLY_APP_NAME || 'litefs', FLY_APP_NAME ? 'FLY_APP_NAME' : this.#default);
    if (!HOSTNAME) this.#give('env.HOSTNAME', hostname(), this.#default);
    const dir = this.#file.values.get('fuse.dir');
    this.#give('database.dir', resolve(this.#cwd, text(dir) ?? defaultDir), this.#placeOf(dir));
    this.#readLease();
    this.#readPorts();
    const exec = this.#readExec();
    return {
      givens: this.#givens,
      sections: this.#sections,
      command: exec.command?.argv,
      config: {
        setup: exec.setup,
        skipSync: this.#isSet('skip-sync', false),
        exitOnError: this.#isSet('exit-on-error', true),
        promote: this.#isSet('lease.promote', false),
      },
    };
  }

  /** Without a target LiteFS has no proxy, whatever else is said of it. A time-out of 0 is none there; the door always has one. */
  #hasMeaning(name: string, key: string, value: unknown): boolean {
    if (!knownKeys.has(key)) return false;
    if (name.endsWith('-timeout') && parseDurationMs(String(value)) === 0) return false;
    return !name.startsWith('proxy.') || this.#file.values.has('proxy.target');
  }

  #give(key: string, value: unknown, place: string): void {
    const dot = key.indexOf('.');
    const path = dot < 0 ? [key] : [key.slice(0, dot), ...key.slice(dot + 1).split('.')];
    this.#givens.push({ path, value, source: { kind: 'file', place }, expanded: false });
  }

  #isSet(name: string, otherwise: boolean): boolean {
    const value = this.#file.values.get(name)?.value;
    return typeof value === 'boolean' ? value : otherwise;
  }

  /** Where a value comes from that LiteFS has without being told. */
  get #default(): string {
    return `${this.#file.shown} (default)`;
  }

  #placeOf(value: LiteFsValue | undefined): string {
    return value?.place ?? this.#default;
  }

  /** With `static`, a replica's file names its primary. */
  #readLease(): void {
    const type = this.#file.values.get('lease.type');
    if (type?.value !== 'consul' && type?.value !== 'static') {
      const what = `lease.type is ${type === undefined ? 'missing' : JSON.stringify(type.value)}`;
      throw this.#invalid(type ?? ['lease'], `${what}; allowed: consul, static`);
    }
    const candidate = this.#file.values.get('lease.candidate');
    const isCandidate = this.#isSet('lease.candidate', true);
    if (candidate !== undefined) this.#give('node.candidate', isCandidate, candidate.place);
    const key = this.#file.values.get('lease.consul.key');
    if (key !== undefined) this.#give('lease.key', String(key.value).replace(/^\/+/, ''), key.place);
    const name = this.#file.values.get('lease.hostname');
    const url = this.#file.values.get('lease.advertise-url');
    const isFollower = type.value === 'static' && !isCandidate;
    if (isFollower && url === undefined) {
      throw this.#invalid(type, 'lease.advertise-url is missing: on a replica it is the URL of the primary');
    }
    if (name !== undefined && !isFollower) this.#give('node.name', name.value, name.place);
    if (url === undefined) return;
    if (type.value === 'static') this.#give('lease.primary', url.value, url.place);
    if (!isFollower) this.#give('node.advertise', url.value, url.place);
  }

  #readPorts(): void {
    const addr = this.#file.values.get('http.addr');
    const listen = text(addr) ?? `${this.#isAlone ? '127.0.0.1' : ''}:${defaultPort}`;
    this.#give('node.listen', listen, this.#placeOf(addr));
    const parsed = parseListenAddress(listen);
    const isAdvertised = this.#givens.some(({ path }) => dottedOf(path) === 'node.advertise');
    // The name by which LiteFS has nodes find each other too.
    if (!isAdvertised && parsed && isWildcard(parsed.host))
      this.#give('node.advertise', `http://${hostname()}:${parsed.port}`, this.#default);
    const target = this.#file.values.get('proxy.target');
    if (target !== undefined) this.#give('http_service.internal_port', this.#portOf(target), target.place);
    // Without a proxy LiteFS leaves the app's port to the app.
    else if (/^\d{1,5}$/.test(this.#env.PORT ?? ''))
      this.#give('http_service.internal_port', this.#env.PORT, 'PORT');
  }

  /** Whether no other machine is to reach this node: without a secret nothing else would do. */
  get #isAlone(): boolean {
    const url = text(this.#file.values.get('lease.advertise-url'));
    const host = url === undefined ? 'localhost' : URL.parse(url)?.hostname;
    return host !== undefined && isLoopback(host) && !this.#env.SKEIN_NODE_SECRET;
  }

  #portOf(target: LiteFsValue): string {
    const { host, port } = parseListenAddress(String(target.value)) ?? {};
    if (port !== undefined && host !== undefined && (isLoopback(host) || isWildcard(host)))
      return String(port);
    throw this.#invalid(
      target,
      `proxy.target is ${JSON.stringify(target.value)}; allowed: a port of this machine, such as localhost:8081`,
    );
  }

  #readExec(): LiteFsExec {
    const given = this.#file.values.get('exec');
    if (given === undefined) return { setup: [], command: undefined };
    const exec = readLiteFsExec(given.value, this.#file.placeOf);
    const candidate = this.#isSet('lease.candidate', true);
    const { command } = exec;
    if (command === undefined || (command.ifCandidate && !candidate)) return { ...exec, command: undefined };
    this.#give('processes.app.command', command.text, given.place);
    return exec;
  }

  #invalid(at: LiteFsValue | readonly string[], what: string): SkeinError {
    const place = 'place' in at ? at.place.replace(/ .*/, '') : this.#file.placeOf(at);
    return new SkeinError('CONFIG_INVALID', `${place}: ${what}.`);
  }
}

function text(value: LiteFsValue | undefined): string | undefined {
  return value === undefined ? undefined : String(value.value);
}
