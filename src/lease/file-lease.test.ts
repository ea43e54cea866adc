import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryDirectory } from '../base/test-support.ts';
import { platformByteLocks } from '../sqlite/byte-locks.ts';
import { FileLease } from './file-lease.ts';
import { leaseConformance } from './lease-conformance.ts';
import { hasCode, never, recordOf, take } from './test-support.ts';

const ttlMs = 1000;

leaseConformance('file', {
  ttlMs,
  open: async (t) => {
    const root = temporaryDirectory(t);
    const directory = join(root, 'store');
    const aside = join(root, 'aside');
    return {
      lease: (name = '') => new FileLease({ directory: join(directory, name), ttlMs }),
      putGarbage: async (text) => {
        mkdirSync(directory, { recursive: true });
        writeFileSync(join(directory, 'lease.json'), text);
      },
      stopStore: async () => {
        renameSync(directory, aside);
        writeFileSync(directory, 'a file where the directory should be');
      },
      startStore: async ({ emptied } = { emptied: false }) => {
        rmSync(directory);
        if (!emptied) renameSync(aside, directory);
      },
    };
  },
});

test('a lease file that was cut anywhere is refused, and never taken for a free lease', async (t) => {
  const directory = temporaryDirectory(t);
  const lease = new FileLease({ directory, ttlMs });
  const seen = await lease.read(never);
  const token = await take(lease, recordOf(1));
  const path = join(directory, 'lease.json');
  for (let length = readFileSync(path).length - 1; length >= 0; length -= 1) {
    truncateSync(path, length);
    await assert.rejects(lease.read(never), hasCode('LEASE_RECORD_INVALID'));
    await assert.rejects(lease.renew(token, recordOf(1), never), hasCode('LEASE_RECORD_INVALID'));
    await assert.rejects(lease.acquire(seen, recordOf(1), never), hasCode('LEASE_RECORD_INVALID'));
  }
});

test('a hold from before the last start of the machine is over', async (t) => {
  const directory = temporaryDirectory(t);
  const lease = new FileLease({ directory, ttlMs });
  const token = await take(lease, recordOf(1));
  const path = join(directory, 'lease.json');
  const kept = JSON.parse(readFileSync(path, 'utf8'));
  kept.hold.bootId = 'another';
  writeFileSync(path, JSON.stringify(kept));
  const state = await lease.read(never);
  assert.deepEqual([state.record, state.isHeld], [recordOf(1), false]);
  assert.equal(await lease.renew(token, recordOf(1), never), false);
  assert.ok(await lease.acquire(state, recordOf(2), never));
});

test('while another process keeps the lock, reads work and writes reject in time', async (t) => {
  const directory = temporaryDirectory(t);
  const lease = new FileLease({ directory, ttlMs });
  const token = await take(lease, recordOf(1));
  const fileDescriptor = openSync(join(directory, 'lock'), 'r+');
  assert.ok(platformByteLocks().tryExclusive(fileDescriptor, 0));
  assert.equal((await lease.read(never)).isHeld, true);
  await assert.rejects(lease.renew(token, recordOf(1), never), hasCode('LEASE_UNREACHABLE'));
  closeSync(fileDescriptor);
  assert.equal(await lease.renew(token, recordOf(1), never), true);
});

test('damaged announcements are forgotten, and told again', async (t) => {
  const directory = temporaryDirectory(t);
  const lease = new FileLease({ directory, ttlMs });
  const told = { node: 'a', region: 'ams', url: '', epoch: 1, positions: {}, isConnected: false };
  await lease.announce(told, never);
  truncateSync(join(directory, 'candidates.json'), 5);
  assert.deepEqual(await lease.announcements(never), []);
  await lease.announce(told, never);
  assert.deepEqual(await lease.announcements(never), [told]);
});

test('of several processes that take and release it, one has the lease at a time', async (t) => {
  const directory = temporaryDirectory(t);
  const [processes, turns] = [3, 60];
  const source = `
    import { FileLease } from ${JSON.stringify(import.meta.resolve('./file-lease.ts'))};
    import { recordOf, never } from ${JSON.stringify(import.meta.resolve('./test-support.ts'))};
    const lease = new FileLease({ directory: ${JSON.stringify(directory)}, ttlMs: 60_000 });
    for (let turn = 0; turn < ${turns}; ) {
      const seen = await lease.read(never);
      const epoch = (seen.record?.epoch ?? 0) + 1;
      const token = seen.isHeld ? undefined : await lease.acquire(seen, recordOf(epoch), never);
      if (token === undefined) { await lease.changed(seen, never); continue; }
      if (!(await lease.renew(token, recordOf(epoch), never))) throw new Error('lost while renewing');
      if (!(await lease.release(token, recordOf(epoch), never))) throw new Error('lost while releasing');
      turn += 1;
    }`;
  const ends = Array.from({ length: processes }, () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    t.after(() => child.kill('SIGKILL'));
    return once(child, 'exit');
  });
  for (const end of ends) assert.deepEqual(await end, [0, null]);
  const { record } = await new FileLease({ directory, ttlMs }).read(never);
  assert.equal(record?.epoch, processes * turns);
});
