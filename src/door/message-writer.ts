import type { Duplex } from 'node:stream';

/** Up to here, copying parts together costs less than writing them one by one. */
const joinBytesMax = 16_384;

/** The parts of one chunk of a chunked body. */
export function chunkOf(data: Buffer): (string | Buffer)[] {
  return [`${data.length.toString(16)}\r\n`, data, '\r\n'];
}

/** Writes all parts in one go, texts in Latin 1. False when the socket has enough for now. */
export function writeParts(socket: Duplex, parts: readonly (string | Buffer)[]): boolean {
  if (parts.length === 1) return writeOne(socket, parts[0]);
  let bytes = 0;
  for (const part of parts) bytes += part.length;
  if (bytes <= joinBytesMax) return socket.write(joined(parts, bytes));
  socket.cork();
  let isReady = true;
  for (const part of parts) isReady = writeOne(socket, part);
  socket.uncork();
  return isReady;
}

function writeOne(socket: Duplex, part: string | Buffer): boolean {
  return typeof part === 'string' ? socket.write(part, 'latin1') : socket.write(part);
}

function joined(parts: readonly (string | Buffer)[], bytes: number): Buffer {
  const all = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (const part of parts)
    at += typeof part === 'string' ? all.write(part, at, 'latin1') : part.copy(all, at);
  return all;
}
