import { execFile } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** One pipe: the child writes to the descriptor `childEnd`, the node reads from `nodeEnd`. */
export type OutputPipe = { readonly nodeEnd: Readable; readonly childEnd: number };

/**
 * Opens two real pipes, for the output of one process. Node.js gives its children socket pairs instead, and a process
 * that opens `/dev/stdout` by name (web servers in containers do) gets ENXIO on those. Resolves to undefined where
 * pipes cannot be made: socket pairs serve then. The caller closes `childEnd` once the child has it, since `nodeEnd`
 * ends only when nobody can write any more.
 */
export async function openOutputPipes(): Promise<readonly [OutputPipe, OutputPipe] | undefined> {
  const directory = await mkdtemp(join(tmpdir(), 'skein-pipes-')).catch(() => undefined);
  if (directory === undefined) return undefined;
  const first = join(directory, 'stdout');
  const second = join(directory, 'stderr');
  try {
    await run('mkfifo', ['-m', '600', first, second], { timeout: 5000 });
    return [openPipe(first), openPipe(second)];
  } catch {
    // No mkfifo, or no descriptors left; in the second case the spawn that follows fails and says so.
    return undefined;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function openPipe(path: string): OutputPipe {
  // The read end first: without one, opening the write end waits for it.
  const readEnd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const childEnd = openSync(path, constants.O_WRONLY);
    return { nodeEnd: new Socket({ fd: readEnd, readable: true, writable: false }), childEnd };
  } catch (error) {
    closeSync(readEnd);
    throw error;
  }
}
