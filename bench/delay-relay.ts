import { connect, createServer, type Socket } from 'node:net';
import { reportReady, reportResult, taskInput } from './child-task.ts';

export type DelayRelayInput = { port: number; targetPort: number; delayMs: number };

/** A link between two regions: what goes in on one side comes out on the other so much later, in order. */
if (import.meta.main) {
  const { port, targetPort, delayMs } = taskInput<DelayRelayInput>();
  createServer({ noDelay: true }, (near) => {
    const far = connect({ port: targetPort, host: '127.0.0.1', noDelay: true });
    pass(near, far, delayMs);
    pass(far, near, delayMs);
  }).listen(port, '127.0.0.1', reportReady);
  process.on('SIGTERM', () => {
    reportResult({});
    process.exit(0);
  });
}

function pass(from: Socket, to: Socket, delayMs: number): void {
  const later = (action: () => void) => {
    if (delayMs === 0) action();
    else setTimeout(() => to.destroyed || action(), delayMs);
  };
  from.on('data', (chunk) => later(() => to.write(chunk)));
  from.on('end', () => later(() => to.end()));
  from.on('error', () => to.destroy());
  from.on('close', () => later(() => to.destroy()));
}
