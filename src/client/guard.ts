import { SkeinClientError } from './client-error.ts';
import { GuardedHandle, type SqliteHandle } from './guarded-handle.ts';
import type { LocalNode } from './local-node.ts';
import { localNode } from './node-functions.ts';
import { needRequestScope } from './request-scope.ts';

const guarded = new WeakSet<object>();
/** Handles that nobody else holds any more are to go. */
const handles = new Set<WeakRef<GuardedHandle>>();
let isFollowing = false;

/**
 * Makes a handle of `node:sqlite` (`DatabaseSync`) or `better-sqlite3` follow the role of this node: on a replica a statement
 * that writes fails at once with SQLite's own SQLITE_READONLY, and writes are open as soon as the node leads. Inside a request
 * that runs under the middleware such a failure has the primary answer instead. Call it right after opening; gives the handle
 * back. Outside of Skein it does nothing. Throws `USAGE` for anything else.
 */
export function guard<Handle extends object>(database: Handle): Handle {
  const node = localNode();
  if (!isHandle(database)) {
    const text = 'guard() takes a DatabaseSync of node:sqlite or a database of better-sqlite3.';
    throw new SkeinClientError('USAGE', text);
  }
  if (node) guardHandle(node, database);
  return database;
}

/** The same for a handle that is known to be one. */
export function guardHandle(node: LocalNode, database: SqliteHandle): void {
  if (guarded.has(database)) return;
  guarded.add(database);
  needRequestScope();
  follow(node);
  handles.add(new WeakRef(new GuardedHandle(database, node.role)));
}

function follow(node: LocalNode): void {
  if (isFollowing) return;
  isFollowing = true;
  node.role.onEvent(({ type }) => {
    if (type === 'tx') return;
    for (const reference of handles) {
      const handle = reference.deref();
      if (handle?.isOpen) handle.follow();
      else handles.delete(reference);
    }
  });
}

function isHandle(database: object): database is SqliteHandle {
  const { prepare, exec } = database as Partial<SqliteHandle>;
  return typeof prepare === 'function' && typeof exec === 'function';
}
