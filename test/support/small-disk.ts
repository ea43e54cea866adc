import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** False, or why not. Tried out, since root in a container is not enough. */
export function canMount(): string | false {
  const directory = mkdtempSync(join(tmpdir(), 'skein-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory], { stdio: 'ignore' });
    execFileSync('umount', [directory], { stdio: 'ignore' });
    return false;
  } catch {
    return 'mounting a small tmpfs needs root, with the right to mount';
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A file system of a few megabytes, unmounted after the nodes have stopped. */
export class SmallDisk {
  readonly path: string;
  readonly #ballast: string;

  constructor(t: TestContext, bytes: number) {
    this.path = mkdtempSync(join(tmpdir(), 'skein-disk-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', this.path]);
    t.after(() => {
      // Lazily: a program that was just killed may still be on its way out.
      execFileSync('umount', ['-l', this.path]);
      rmSync(this.path, { recursive: true, force: true });
    });
    this.#ballast = join(this.path, 'ballast');
    mkdirSync(join(this.path, 'data'));
  }

  /** Takes all space but about `leaveBytes`. Others may write meanwhile. */
  fill(leaveBytes: number): void {
    const piece = Buffer.alloc(64 * 1024);
    try {
      for (;;) {
        const { bavail, bsize } = statfsSync(this.path);
        const bytes = Math.min(piece.length, bavail * bsize - leaveBytes);
        if (bytes <= 0) return;
        writeFileSync(this.#ballast, piece.subarray(0, bytes), { flag: 'a' });
      }
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
    }
  }

  free(): void {
    rmSync(this.#ballast, { force: true });
  }
}
