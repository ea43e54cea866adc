import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const tcpTables = ['/proc/net/tcp', '/proc/net/tcp6'];

/** Which of these processes has the socket with this local port open; undefined when none does. Linux only. */
export function processWithPort(port: number, pids: readonly number[]): number | undefined {
  const inodes = new Set(
    tcpTables.flatMap((table) => inodesOf(table, port)).map((inode) => `socket:[${inode}]`),
  );
  return pids.find((pid) => socketsOf(pid).some((socket) => inodes.has(socket)));
}

function inodesOf(table: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return readFileSync(table, 'utf8')
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(suffix))
    .flatMap((fields) => fields[9] ?? []);
}

function socketsOf(pid: number): string[] {
  try {
    const directory = `/proc/${pid}/fd`;
    return readdirSync(directory).map((descriptor) => {
      try {
        return readlinkSync(`${directory}/${descriptor}`);
      } catch {
        return '';
      }
    });
  } catch {
    // It ended meanwhile.
    return [];
  }
}
