import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, resolve } from 'node:path';
import { SkeinError } from '../base/errors.ts';
import type { Config, ProcessConfig } from './config.ts';
import { readConfigFile } from './config-file.ts';
import { parseFlags } from './flags.ts';
import { Givens } from './givens.ts';
import { readHttp } from './http-settings.ts';
import { readLease } from './lease-settings.ts';
import { formatListenAddress, isLoopback, isWildcard, type ListenAddress } from './listen-address.ts';
import { isLiteFsName, type LiteFsFile, readLiteFsFile } from './litefs-file.ts';
import { type LiteFsGivens, readLiteFsGivens } from './litefs-givens.ts';
import { nodeVariables } from './node-variables.ts';
import { readEnvSection, readProcessesSection } from './open-sections.ts';
import { dottedOf, keys } from './schema.ts';
import { type Given, readKey, waysToGive } from './setting.ts';

/** `argv` holds flags only: no verb, no command. `cwd` is where relative paths and files are looked for. */
export type ConfigInput = {
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Whether the file has to be a litefs.yml, and whether variables in it are replaced: for `skein mount`. */
  readonly litefs?: { readonly expand: boolean };
};

/** The configuration with what was given for it, by dotted key. */
export type LoadedConfig = { readonly config: Config; readonly givens: ReadonlyMap<string, Given> };

/**
 * Reads file, variables and flags, in rising order of weight, into one checked object.
 * Throws USAGE, CONFIG_NOT_FOUND, CONFIG_SYNTAX, CONFIG_UNKNOWN_KEY, CONFIG_INVALID, SECRET_REQUIRED.
 */
export function loadConfig(input: ConfigInput): Config {
  return loadConfigWithGivens(input).config;
}

/** As `loadConfig`, and keeps what was given where, for `skein config check`. */
export function loadConfigWithGivens(input: ConfigInput): LoadedConfig {
  const { argv, env, cwd } = input;
  const flags = parseFlags(argv);
  const [extra] = [...flags.positionals, ...(flags.command ?? [])];
  if (extra !== undefined) throw new SkeinError('USAGE', `Unexpected argument "${extra}". Leave it out.`);
  const named = flags.values.get('config') ?? nonEmpty(env.SKEIN_CONFIG);
  const givens = new Givens();
  const liteFsFile = findLiteFsFile(named, input);
  const litefs = liteFsFile && readLiteFsGivens(liteFsFile, env, cwd);
  const file = liteFsFile ? undefined : readConfigFile(named, cwd);
  if (litefs) givens.addLiteFs(litefs.givens);
  const sections = litefs?.sections ?? (file === undefined ? [] : givens.addFile(file, env));
  givens.addVariables(env);
  givens.addFlags(flags);
  const config = assemble(givens.byKey, { path: liteFsFile?.path ?? file?.path, litefs, sections, env, cwd });
  return { config, givens: givens.byKey };
}

/** A litefs.yml goes after skein.toml, and before fly.toml, which an app with LiteFS on Fly has too. */
function findLiteFsFile(
  named: string | undefined,
  { env, cwd, litefs }: ConfigInput,
): LiteFsFile | undefined {
  const expand = litefs?.expand ?? true;
  if (litefs === undefined) {
    if (named === undefined ? existsSync(resolve(cwd, 'skein.toml')) : !isLiteFsName(named)) return undefined;
    return readLiteFsFile({ named, env, cwd, expand });
  }
  const found = readLiteFsFile({ named, env, cwd, expand });
  if (found) return found;
  const what = 'There is no litefs.yml here, in the home directory or in /etc';
  throw new SkeinError('CONFIG_NOT_FOUND', `${what}. Write one, or name one: skein mount -config FILE`);
}

type Surroundings = {
  readonly path: string | undefined;
  readonly litefs: LiteFsGivens | undefined;
  readonly sections: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
};

function assemble(givens: ReadonlyMap<string, Given>, around: Surroundings): Config {
  const primaryRegion = readKey(keys.primaryRegion, givens);
  const app = readKey(keys.app, givens) ?? plainName(basename(around.cwd), 'app');
  const lease = readLease(givens, app, { file: around.path, cwd: around.cwd });
  const internalPort = readKey(keys.internalPort, givens) ?? 8080;
  const database = { dir: databaseDir(givens, around) };
  const node = assembleNode(givens, around.env, primaryRegion, lease);
  return {
    app,
    primaryRegion,
    env: readEnvSection(givens, nodeVariables({ app, internalPort, database, node })),
    processes: readProcesses(givens, around.litefs?.command),
    releaseCommand: readKey(keys.releaseCommand, givens),
    releaseCommandTimeoutMs: readKey(keys.releaseCommandTimeout, givens) ?? 300_000,
    internalPort,
    http: readHttp(givens, lease.ttlMs),
    killSignal: readKey(keys.killSignal, givens) ?? 'SIGINT',
    killTimeoutMs: readKey(keys.killTimeout, givens) ?? 5000,
    database,
    node,
    lease,
    nodeJs: { register: readKey(keys.nodeJsRegister, givens) ?? false },
    log: {
      retentionMs: readKey(keys.logRetention, givens) ?? 600_000,
      bytesMax: readKey(keys.logBytesMax, givens) ?? 1024 ** 3,
    },
    sections: around.sections,
    sources: around.path === undefined ? [] : [around.path],
    ...(around.litefs === undefined ? {} : { litefs: around.litefs.config }),
  };
}

/** The one command of a litefs.yml is run as it is, without a shell. */
function readProcesses(
  givens: ReadonlyMap<string, Given>,
  argv: readonly string[] | undefined,
): readonly ProcessConfig[] {
  const isGiven = givens.get('processes.app.command')?.source.kind === 'file';
  return readProcessesSection(givens).map((one) =>
    isGiven && argv !== undefined && one.name === 'app' ? { ...one, argv } : one,
  );
}

function databaseDir(givens: ReadonlyMap<string, Given>, { path, cwd }: Surroundings): string {
  const given = givens.get(dottedOf(keys.databaseDir.path));
  const isFromFile = given === undefined || given.source.kind === 'file';
  const base = isFromFile && path !== undefined ? dirname(path) : cwd;
  return resolve(base, readKey(keys.databaseDir, givens) ?? './data');
}

function assembleNode(
  givens: ReadonlyMap<string, Given>,
  env: NodeJS.ProcessEnv,
  primaryRegion: string | undefined,
  lease: Config['lease'],
): Config['node'] {
  const listen = readKey(keys.nodeListen, givens) ?? { host: '127.0.0.1', port: 20_202 };
  const secret = readKey(keys.nodeSecret, givens);
  if (!isLoopback(listen.host) && secret === undefined) {
    const what = `node.listen is ${formatListenAddress(listen)}, which other machines can reach, and there is no secret`;
    const advice = `Give every node the same one (${waysToGive(keys.nodeSecret.path)}), for example from: openssl rand -hex 32`;
    throw new SkeinError('SECRET_REQUIRED', `${what}. ${advice}`);
  }
  const region = readKey(keys.nodeRegion, givens) ?? nonEmpty(env.FLY_REGION) ?? primaryRegion ?? 'local';
  const isCandidate = lease.type === 'static' || primaryRegion === undefined || region === primaryRegion;
  return {
    name: readKey(keys.nodeName, givens) ?? plainName(nonEmpty(env.FLY_MACHINE_ID) ?? hostname(), 'node'),
    region,
    listen,
    advertise: readKey(keys.nodeAdvertise, givens) ?? defaultAdvertise(listen, lease),
    candidate: readKey(keys.nodeCandidate, givens) ?? isCandidate,
    secret,
  };
}

/** The listening address as a URL. "All interfaces" is no address to connect to: then it is the host's name. */
function defaultAdvertise(listen: ListenAddress, lease: Config['lease']): string {
  if (!isWildcard(listen.host)) return new URL(`http://${formatListenAddress(listen)}`).origin;
  if (lease.type === 'static' && lease.primary === undefined)
    return `http://${plainName(hostname(), 'localhost')}:${listen.port}`;
  // With a guess here the primary would not know itself in lease.primary, or the others would look for it elsewhere.
  const what = `node.listen is ${formatListenAddress(listen)}, which other nodes cannot connect to as it stands`;
  const advice = `Give the URL of this node as they reach it (${waysToGive(keys.nodeAdvertise.path)})`;
  throw new SkeinError('CONFIG_INVALID', `${what}. ${advice}.`);
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

/** A name of the machine's making as one that the schema would take. */
function plainName(text: string, otherwise: string): string {
  const plain = text.replace(/[^A-Za-z0-9._-]+/g, '-').replace(/^[^A-Za-z0-9]+|-+$/g, '');
  return plain === '' ? otherwise : plain.slice(0, 128);
}
