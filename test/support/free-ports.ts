import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

/** Below the ports that Linux gives to outgoing connections: one of those would be in the way of a node that listens later. */
const firstPort = 10_000;
const lastPort = 32_000;
const triesMax = 1_000;

/**
 * Ports of this machine that nobody listens on, all different, and none that was given before by this process or by another
 * that still runs.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let tries = 0; ports.length < count; tries += 1) {
    if (tries > triesMax) throw new Error(`no ${count} free ports from ${firstPort} to ${lastPort}`);
    const port = firstPort + Math.floor(Math.random() * (lastPort - firstPort));
    if ((await isFree(port)) && (await reserve(port))) ports.push(port);
  }
  return ports;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  if (!(await isListening(server))) return false;
  server.close();
  await once(server, 'close');
  return true;
}

/**
 * Between this choice and the moment that a node listens, a test file that runs beside this one could choose the port too. A
 * name of Linux's abstract sockets has one owner, and ends with its process, however that ends.
 */
function reserve(port: number): Promise<boolean> {
  return isListening(createServer().unref().listen(`\0skein-test-port-${port}`));
}

async function isListening(server: Server): Promise<boolean> {
  try {
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  }
}
