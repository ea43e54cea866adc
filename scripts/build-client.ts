import { resolve } from 'node:path';
import { buildClient } from './build-client/build.ts';

/** `npm run build:client [-- DIRECTORY]`: `skein/client` and `skein/register` as they are published, in `dist/` unless said. */
await buildClient(resolve(process.argv[2] ?? resolve(import.meta.dirname, '../dist')));
