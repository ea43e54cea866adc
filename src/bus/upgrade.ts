import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

/** Answers an upgrade to a protocol of ours. False when the request asks for another; it is refused then. */
export function switchProtocol(request: IncomingMessage, socket: Duplex, protocol: string): boolean {
  if (request.headers.upgrade?.toLowerCase() !== protocol) {
    socket.end(
      `HTTP/1.1 426 Upgrade Required\r\nUpgrade: ${protocol}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
    );
    return false;
  }
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`);
  return true;
}
