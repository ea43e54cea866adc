import type { Duplex } from 'node:stream';

/** Makes one pipe of two sockets, both ways, with each end's close and back-pressure. Both are this function's from now on. */
export function joinSockets(one: Duplex, other: Duplex, closed: () => void = () => undefined): void {
  let open = 2;
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    // An error is followed by a close, which ends the other one.
    from.on('error', () => undefined);
    from.once('close', () => {
      // What has been read is still on its way there.
      if (from.readableEnded) to.end();
      else to.destroy();
      open -= 1;
      if (open === 0) closed();
    });
    from.pipe(to);
  }
}
