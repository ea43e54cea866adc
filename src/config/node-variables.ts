import type { Config } from './config.ts';
import { isWildcard } from './listen-address.ts';

type Told = Pick<Config, 'app' | 'internalPort' | 'database' | 'node'>;

/** What a node tells every process of its app by variables. */
const variables = {
  PORT: ({ internalPort }) => String(internalPort),
  SKEIN_DIR: ({ database }) => database.dir,
  LITEFS_DIR: ({ database }) => database.dir,
  SKEIN_API: ({ node }) => apiUrl(node.listen),
  SKEIN_REGION: ({ node }) => node.region,
  FLY_REGION: ({ node }) => node.region,
  FLY_APP_NAME: ({ app }) => app,
  FLY_MACHINE_ID: ({ node }) => node.name,
} as const satisfies Readonly<Record<string, (config: Told) => string>>;

export const nodeVariableNames: ReadonlySet<string> = new Set(Object.keys(variables));

export function nodeVariables(config: Told): Record<keyof typeof variables, string> {
  const entries = Object.entries(variables).map(([name, tell]) => [name, tell(config)]);
  return Object.fromEntries(entries) as Record<keyof typeof variables, string>;
}

/** Stands for such a variable in a text of `[env]` until all of the configuration is known. No variable can hold a NUL. */
export function placeholderOf(name: string): string {
  return `\0${name}\0`;
}

/** Puts the values in the place of the placeholders. */
export function fillPlaceholders(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\0(\w+)\0/g, (found, name: string) => values[name] ?? found);
}

function apiUrl({ host, port }: Config['node']['listen']): string {
  const reached = isWildcard(host) ? '127.0.0.1' : host;
  return `http://${reached.includes(':') ? `[${reached}]` : reached}:${port}`;
}
