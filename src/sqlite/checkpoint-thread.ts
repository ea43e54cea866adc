import { DatabaseSync } from 'node:sqlite';
import { parentPort } from 'node:worker_threads';
import { assert } from '../base/assert.ts';
import { messageOf } from '../base/errors.ts';
import type { CheckpointReply, CheckpointRequest } from './checkpointer.ts';

/**
 * The thread in which SQLite itself moves WAL frames into database files. It waits for the disk here, where no
 * replica's stream and no HTTP request waits with it.
 */
const connections = new Map<string, DatabaseSync>();
const port = parentPort;
assert(port, 'checkpoint-thread.ts runs as a worker thread');

port.on('message', (request: CheckpointRequest | 'end') => {
  if (request !== 'end') {
    port.postMessage(answer(request));
    return;
  }
  for (const connection of connections.values()) connection.close();
  port.close();
});

function answer(request: CheckpointRequest): CheckpointReply {
  try {
    if (request.verb === 'release') {
      connections.get(request.path)?.close();
      connections.delete(request.path);
      return { id: request.id, frames: 0, moved: 0 };
    }
    const row = connectionOf(request.path).prepare('PRAGMA wal_checkpoint(PASSIVE)').get();
    return { id: request.id, frames: Number(row?.log), moved: Number(row?.checkpointed) };
  } catch (error) {
    return { id: request.id, error: messageOf(error) };
  }
}

function connectionOf(path: string): DatabaseSync {
  let connection = connections.get(path);
  if (!connection) {
    connection = new DatabaseSync(path, { timeout: 0 });
    connections.set(path, connection);
  }
  return connection;
}
