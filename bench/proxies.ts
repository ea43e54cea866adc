import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitFor } from '../test/support/wait-for.ts';
import { ChildTask } from './child-task.ts';
import type { HttpProxyInput } from './http-proxy.ts';
import { BenchNode, freePorts } from './nodes.ts';

export type ProxyKind = 'door' | 'nginx' | 'haproxy' | 'http-proxy-3';

/** A proxy in front of the app at a port of its own. Whoever started it stops it. */
export type RunningProxy = { readonly kind: ProxyKind; readonly port: number; stop(): Promise<void> };

/** nginx and HAProxy are programs of their own, which this machine may not have. */
export function availableProxies(): ProxyKind[] {
  const programs = (['nginx', 'haproxy'] as const).filter(
    (program) => spawnSync(program, ['-v'], { stdio: 'ignore' }).status === 0,
  );
  return ['door', ...programs, 'http-proxy-3'];
}

export async function startProxy(kind: ProxyKind, directory: string, appPort: number): Promise<RunningProxy> {
  const [port, apiPort] = await freePorts(2);
  const stop = await start(kind, directory, { port, apiPort, appPort });
  await waitFor(`${kind} to answer`, async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined);
    return answer?.ok;
  });
  return { kind, port, stop };
}

type Ports = { readonly port: number; readonly apiPort: number; readonly appPort: number };

async function start(kind: ProxyKind, directory: string, ports: Ports): Promise<() => Promise<void>> {
  if (kind === 'door') {
    const more = doorVariables(ports.port, ports.appPort);
    const node = new BenchNode({ name: 'door', directory, port: ports.apiPort }, undefined, more);
    await node.start();
    await node.healthy();
    return () => node.stop();
  }
  if (kind === 'http-proxy-3') {
    const input: HttpProxyInput = { port: ports.port, appPort: ports.appPort };
    const task = new ChildTask('http-proxy.ts', input);
    await task.ready;
    return async () => void (await task.finish());
  }
  const path = join(directory, `${kind}.conf`);
  writeFileSync(path, kind === 'nginx' ? nginxConfig(directory, ports) : haproxyConfig(ports));
  const child = spawn(kind, kind === 'nginx' ? ['-c', path] : ['-db', '-q', '-f', path], { stdio: 'ignore' });
  return () => ended(child);
}

/** For a node with a door in front of an app that runs by itself. */
export function doorVariables(port: number, appPort: number): Readonly<Record<string, string>> {
  return { SKEIN_HTTP_LISTEN: String(port), SKEIN_HTTP_SERVICE_INTERNAL_PORT: String(appPort) };
}

/** One worker, connections to the app that stay open, and what the door tells the app too. */
function nginxConfig(directory: string, { port, appPort }: Ports): string {
  return `worker_processes 1; daemon off; pid ${directory}/nginx.pid; error_log ${directory}/nginx.log;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path ${directory}/nginx-body; proxy_temp_path ${directory}/nginx-proxy;
  fastcgi_temp_path ${directory}/nginx-1; uwsgi_temp_path ${directory}/nginx-2; scgi_temp_path ${directory}/nginx-3;
  upstream app { server 127.0.0.1:${appPort}; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host; proxy_pass http://app;
    }
  }
}
`;
}

function haproxyConfig({ port, appPort }: Ports): string {
  return `global
  nbthread 1
defaults
  mode http
  option forwardfor
  option http-keep-alive
  http-reuse always
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend door
  bind 127.0.0.1:${port}
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  default_backend app
backend app
  server one 127.0.0.1:${appPort}
`;
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill('SIGTERM');
  });
}
