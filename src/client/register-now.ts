import { realpathSync } from 'node:fs';
import { type IncomingMessage, Server, type ServerResponse } from 'node:http';
import { Server as SecureServer } from 'node:https';
import Module, { createRequire } from 'node:module';
import { basename, dirname } from 'node:path';
import { guardHandle } from './guard.ts';
import type { SqliteHandle } from './guarded-handle.ts';
import type { LocalNode } from './local-node.ts';
import { Middleware } from './middleware.ts';
import { localNode } from './node-functions.ts';

type Call = (this: unknown, ...args: unknown[]) => unknown;
type Loader = { _load: (request: string, ...rest: unknown[]) => unknown };

const betterSqlite = /(?:^|[\\/])better-sqlite3(?:[\\/]lib[\\/]index\.js)?$/;
const openingMethods = ['prepare', 'exec', 'pragma', 'transaction'] as const;
/** How a prototype that is wrapped already is known. */
const wrapperName = 'skeinGuarded';

/** See `register.ts`. A second call does nothing. */
export function registerNow(): void {
  const node = localNode();
  if (!node || isRegistered()) return;
  const port = Number(process.env.PORT);
  if (port > 0)
    for (const prototype of [Server.prototype, SecureServer.prototype]) wrapServers(prototype, node, port);
  guardNodeSqlite(node);
  guardBetterSqlite(node);
}

/** By the process and not by the module: the app may have another copy of this package. */
function isRegistered(): boolean {
  const mark = Symbol.for('skein.registered');
  const marked = globalThis as { [mark]?: boolean };
  const was = marked[mark] === true;
  marked[mark] = true;
  return was;
}

/** Requests to other ports are not the app's: they could not be sent on to the primary, which is reached on this one. */
function wrapServers(prototype: Server | SecureServer, node: LocalNode, port: number): void {
  let middleware: Middleware | undefined;
  const emit = prototype.emit as Call;
  const wrapped: Call = function (this: unknown, event: unknown, ...args: unknown[]) {
    const [request, response] = args as [IncomingMessage, ServerResponse];
    if (event !== 'request' || !listensOn(this as Server, port)) return emit.call(this, event, ...args);
    middleware ??= new Middleware(node);
    middleware.handle(request, response, () => void emit.call(this, event, ...args));
    return true;
  };
  Object.defineProperty(prototype, 'emit', { value: wrapped, writable: true, configurable: true });
}

function listensOn(server: Server, port: number): boolean {
  const address = server.address();
  return typeof address === 'object' && address?.port === port;
}

/** The warning that it is experimental is for whoever uses it, and comes when they do not ask for it otherwise. */
function guardNodeSqlite(node: LocalNode): void {
  const { emitWarning } = process;
  try {
    process.emitWarning = () => undefined;
    const { DatabaseSync } = createRequire(import.meta.url)('node:sqlite') as {
      DatabaseSync?: { prototype: object };
    };
    if (DatabaseSync) guardPrototype(node, DatabaseSync.prototype);
  } catch {
    // This version of Node.js has none.
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** An `import` of it passes here too: it is CommonJS. */
function guardBetterSqlite(node: LocalNode): void {
  const loader = Module as unknown as Loader;
  const load = loader._load;
  loader._load = function (request, ...rest) {
    const loaded = load.call(this, request, ...rest);
    if (betterSqlite.test(request) && typeof loaded === 'function')
      guardPrototype(node, loaded.prototype as object);
    return loaded;
  };
}

/** A handle is guarded when it is first used: by then its file is there. */
function guardPrototype(node: LocalNode, prototype: object): void {
  const seen = new WeakSet<object>();
  for (const name of openingMethods) {
    const method: unknown = Reflect.get(prototype, name);
    if (typeof method !== 'function' || method.name === wrapperName) continue;
    const value: Call = function (this: unknown, ...args: unknown[]) {
      const handle = this as SqliteHandle;
      if (!seen.has(handle)) {
        seen.add(handle);
        if (isReplicated(node, handle)) {
          guardHandle(node, handle);
          // From now on the handle has methods of its own, which lead here only by way of the guard.
          return Reflect.apply(handle[name] as Call, handle, args);
        }
      }
      return Reflect.apply(method, handle, args);
    };
    Object.defineProperty(value, 'name', { value: wrapperName });
    Object.defineProperty(prototype, name, { value, writable: true, configurable: true });
  }

  function isReplicated({ place }: LocalNode, handle: SqliteHandle): boolean {
    try {
      const list = handle.prepare('PRAGMA database_list') as { all(): { name: string; file: string }[] };
      const file = list.all().find((row) => row.name === 'main')?.file ?? '';
      return basename(file).endsWith('.db') && dirname(realpathSync(file)) === realpathSync(place.directory);
    } catch {
      // It is not open yet, or lies in memory.
      seen.delete(handle);
      return false;
    }
  }
}
