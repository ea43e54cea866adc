import { isMainThread } from 'node:worker_threads';

/**
 * Loaded into every test file's process. The runner's own limit ends a test that does not end, but not a file
 * that its timers, sockets or children keep alive after its last test.
 */
export const fileLimitVariable = 'SKEIN_TEST_FILE_LIMIT_MS';

const limitMs = Number(process.env[fileLimitVariable] ?? 0);

if (limitMs > 0 && isMainThread && process.env.NODE_TEST_CONTEXT === 'child-v8') {
  const limit = setTimeout(() => {
    const open = process.getActiveResourcesInfo().join(', ');
    console.error(`This file still runs after ${limitMs / 1000} s and is ended. It keeps open: ${open}.`);
    process.exit(1);
  }, limitMs);
  limit.unref();
}
