import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasWalResetFix, requireSafeSqlite, sqliteVersion } from './sqlite-version.ts';
import { hasCode } from './test-support.ts';

test('the versions that mend the WAL reset fault are taken, and those before refused', () => {
  const mended = ['3.44.6', '3.44.9', '3.50.7', '3.51.3', '3.51.10', '3.52.0', '3.53.4', '3.100.0', '4.0.0'];
  const faulty = ['3.7.0', '3.40.1', '3.44.5', '3.45.0', '3.49.9', '3.50.6', '3.51.0', '3.51.2', '2.8.17'];
  for (const version of mended) assert.equal(hasWalResetFix(version), true, version);
  for (const version of faulty) assert.equal(hasWalResetFix(version), false, version);
});

test("the runtime's own SQLite is safe, and an older one is refused with what to do", () => {
  assert.match(sqliteVersion(), /^3\.\d+\.\d+$/);
  requireSafeSqlite();
  assert.throws(() => requireSafeSqlite('3.50.4'), hasCode('SQLITE_TOO_OLD'));
  assert.throws(() => requireSafeSqlite('3.50.4'), /3\.50\.4.*Node\.js/);
});
