import { tryLock, unlock } from 'fs-native-extensions';
import { SkeinError } from '../base/errors.ts';

/**
 * The bytes of a `-shm` file that SQLite locks (wal.c: WAL_WRITE_LOCK …; os_unix.c: UNIX_SHM_BASE 120).
 * See `DESIGN.md` in this folder for who holds which, and when.
 */
export const shmLock = {
  write: 120,
  checkpoint: 121,
  recover: 122,
  read0: 123,
  read1: 124,
} as const;

/** READ1 to READ4: SQLite locks all four at once before it restarts the WAL. */
export const readerLockCount = 4;

/**
 * Byte-range locks that belong to an open file description, so that they conflict with the POSIX locks that
 * SQLite takes, even SQLite in this very process. The one place that knows the platform.
 */
export type ByteLocks = {
  /** Takes an exclusive lock on `length` bytes; false when anybody holds any of them. Never waits. */
  tryExclusive(fileDescriptor: number, offset: number, length?: number): boolean;
  unlock(fileDescriptor: number, offset: number, length?: number): void;
};

const linuxByteLocks: ByteLocks = {
  tryExclusive(fileDescriptor, offset, length = 1) {
    return tryLock(fileDescriptor, offset, length);
  },
  unlock(fileDescriptor, offset, length = 1) {
    unlock(fileDescriptor, offset, length);
  },
};

/** The byte locks of this platform. Throws `PLATFORM_UNSUPPORTED` where they would lock whole files. */
export function platformByteLocks(): ByteLocks {
  if (process.platform === 'linux') return linuxByteLocks;
  throw new SkeinError(
    'PLATFORM_UNSUPPORTED',
    `Skein needs open-file-description byte locks, which it has on Linux only so far; this is ${process.platform}. Run it in a Linux machine, virtual machine or container.`,
  );
}
