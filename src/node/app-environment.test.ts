import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Config } from '../config/config.ts';
import { readHttp } from '../config/http-settings.ts';
import { appEnvironment } from './app-environment.ts';

const config: Config = {
  http: readHttp(new Map(), 10_000),
  app: 'shop',
  primaryRegion: 'ams',
  env: { GREETING: 'hello', PATH: '/opt/bin' },
  processes: [],
  releaseCommand: undefined,
  releaseCommandTimeoutMs: 1_000,
  internalPort: 8080,
  killSignal: 'SIGINT',
  killTimeoutMs: 5_000,
  database: { dir: '/data' },
  node: {
    name: 'one',
    region: 'ord',
    listen: { host: '0.0.0.0', port: 20202 },
    advertise: 'http://one:20202',
    candidate: true,
    secret: 'hunter2',
  },
  lease: {
    type: 'static',
    primary: undefined,
    path: undefined,
    url: undefined,
    key: 'skein/shop',
    ttlMs: 10_000,
  },
  nodeJs: { register: false },
  log: { retentionMs: 1, bytesMax: 1 },
  sections: [],
  sources: [],
};

function listening(host: string): Config {
  return { ...config, node: { ...config.node, listen: { host, port: 7000 } } };
}

test('the app is told where it runs, in the words that Fly apps know', () => {
  assert.deepEqual(appEnvironment(config, { HOME: '/home/app' }, 'abc'), {
    HOME: '/home/app',
    GREETING: 'hello',
    PATH: '/opt/bin',
    PORT: '8080',
    SKEIN_DIR: '/data',
    LITEFS_DIR: '/data',
    SKEIN_API: 'http://127.0.0.1:20202',
    SKEIN_TOKEN: 'abc',
    SKEIN_REGION: 'ord',
    FLY_REGION: 'ord',
    FLY_APP_NAME: 'shop',
    FLY_MACHINE_ID: 'one',
    PRIMARY_REGION: 'ams',
  });
});

test("the node's own settings do not reach the app, its secret least of all", () => {
  const inherited = {
    SKEIN_NODE_SECRET: 'hunter2',
    SKEIN_REGION: 'wrong',
    SKEIN_TEST_RUN: 'mark',
    PATH: '/bin',
  };
  const environment = appEnvironment(config, inherited, 'abc');
  assert.equal(environment.SKEIN_NODE_SECRET, undefined);
  assert.doesNotMatch(JSON.stringify(environment), /hunter2|wrong/);
  assert.equal(environment.SKEIN_TEST_RUN, 'mark', 'what tests mark their processes with goes on');
  assert.equal(environment.PATH, '/opt/bin', '[env] wins over what is inherited');
});

test('the API is at an address that the app can call, whatever the node listens on', () => {
  const hosts = { '::': '127.0.0.1', '::1': '[::1]', '10.0.0.7': '10.0.0.7', localhost: 'localhost' };
  for (const [host, called] of Object.entries(hosts)) {
    assert.equal(appEnvironment(listening(host), {}, 'abc').SKEIN_API, `http://${called}:7000`);
  }
});

test('without a primary region there is none in the environment', () => {
  assert.equal('PRIMARY_REGION' in appEnvironment({ ...config, primaryRegion: undefined }, {}, 'abc'), false);
});
