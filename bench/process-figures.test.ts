import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cpuMsOf, forgetPeakMemory, memoryOf } from './process-figures.ts';

test('memory and CPU time of a process are those that the process itself sees', () => {
  const { residentBytes, peakBytes } = memoryOf(process.pid);
  assert.ok(Math.abs(residentBytes - process.memoryUsage.rss()) < 32 << 20);
  assert.ok(peakBytes >= residentBytes);
  const { user, system } = process.cpuUsage();
  assert.ok(Math.abs(cpuMsOf(process.pid) - (user + system) / 1000) < 1_000);
});

test('the peak of memory can be counted anew', () => {
  Buffer.alloc(64 << 20, 1);
  forgetPeakMemory(process.pid);
  const { residentBytes, peakBytes } = memoryOf(process.pid);
  assert.ok(peakBytes - residentBytes < 16 << 20);
});
