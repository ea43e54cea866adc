export type ListenAddress = { readonly host: string; readonly port: number };

const loopback = '127.0.0.1';

/**
 * Reads "host:port", "[::1]:port", ":port" (all interfaces) or a port alone (loopback). A port is 1 to 65535.
 * Returns undefined for anything else.
 */
export function parseListenAddress(value: number | string): ListenAddress | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.%a-z]+)\]:|([A-Za-z0-9_.-]*):)?(\d{1,5})$/.exec(String(value).trim());
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port < 1 || port > 65_535) return undefined;
  const host = match[1] ?? match[2];
  return { host: host === undefined ? loopback : host === '' ? '::' : host, port };
}

/** "host:port", with brackets around an IPv6 address: what `parseListenAddress` reads, and what a URL takes. */
export function formatListenAddress({ host, port }: ListenAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether only programs on this machine can connect to the host. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** Whether the host stands for all interfaces, and so cannot be connected to from elsewhere by that name. */
export function isWildcard(host: string): boolean {
  return host === '::' || host === '0.0.0.0';
}
