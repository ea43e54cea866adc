import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Config } from '../config/config.ts';
import { nodeVariables } from '../config/node-variables.ts';

/** The node's own settings do not go to the app: its secret least of all. */
const ownSettings = /^SKEIN_(?!TEST_)/;

/** Where `bin/skein` has Node.js keep compiled files of Skein's own. */
const ownCompileCache = /\/node_modules\/\.cache\/skein$/;

/**
 * The complete environment of the app's processes: this process's own, `[env]`, and what the node tells the app. With `token`
 * they can ask the API of their node some things, and no other node anything.
 */
export function appEnvironment(
  config: Config,
  inherited: NodeJS.ProcessEnv,
  token: string,
): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const [key, value] of Object.entries(inherited)) {
    if (value !== undefined && !ownSettings.test(key)) environment[key] = value;
  }
  if (ownCompileCache.test(environment.NODE_COMPILE_CACHE ?? '')) delete environment.NODE_COMPILE_CACHE;
  return {
    ...environment,
    ...config.env,
    ...nodeVariables(config),
    SKEIN_TOKEN: token,
    ...(config.primaryRegion === undefined ? {} : { PRIMARY_REGION: config.primaryRegion }),
    ...(config.nodeJs.register
      ? { NODE_OPTIONS: withRegister(config.env.NODE_OPTIONS ?? environment.NODE_OPTIONS) }
      : {}),
  };
}

/** Before what the app preloads itself, so that it sees no unguarded handle. As a URL, which has no blanks. */
function withRegister(options: string | undefined): string {
  const preload = `--import=${registerUrl()}`;
  return options === undefined ? preload : `${preload} ${options}`;
}

/** The compiled form where there is one: the app's Node.js may be too old to strip types. */
function registerUrl(): string {
  const compiled = new URL('../../dist/register.js', import.meta.url);
  return existsSync(compiled) ? compiled.href : new URL('../client/register.ts', import.meta.url).href;
}

/** A command of a file is run where the file is; those of a litefs.yml, which is often in /etc, where the node was started. */
export function workingDirectoryOf({ sources: [file], litefs }: Config): string {
  return file === undefined || litefs !== undefined ? process.cwd() : dirname(file);
}
