import { Agent, createServer } from 'node:http';
import { createProxyServer } from 'http-proxy-3';
import { reportReady, reportResult, taskInput } from './child-task.ts';

export type HttpProxyInput = { port: number; appPort: number };

/** npm's `http-proxy-3` as one would set it up, with connections to the app that stay open. */
if (import.meta.main) {
  const { port, appPort } = taskInput<HttpProxyInput>();
  const agent = new Agent({ keepAlive: true });
  const proxy = createProxyServer({ target: `http://127.0.0.1:${appPort}`, agent, xfwd: true });
  proxy.on('error', (_error, _request, response) => response.destroy());
  createServer((request, response) => proxy.web(request, response)).listen(port, '127.0.0.1', reportReady);
  process.on('SIGTERM', () => {
    reportResult({});
    process.exit(0);
  });
}
