import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const root = resolve(import.meta.dirname, '../..');

/**
 * Compiles `src/client` for Node.js 20 and later into a directory, which is a package of its own then: `npm install` takes it
 * as it is. What the directory held is gone. Rejects with what the compiler says.
 */
export async function buildClient(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const args = [compiler, '--project', join(root, 'tsconfig.client.json'), '--outDir', directory];
  await promisify(execFile)(process.execPath, args, { cwd: root });
  const about = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as Record<string, unknown>;
  const { name, version, description, license } = about;
  const entry = (file: string) => ({ types: `./${file}.d.ts`, default: `./${file}.js` });
  const published = {
    name,
    version,
    description,
    license,
    type: 'module',
    engines: { node: '>=20' },
    exports: {
      './client': entry('client'),
      './register': entry('register'),
      './package.json': './package.json',
    },
  };
  await writeFile(join(directory, 'package.json'), `${JSON.stringify(published, undefined, 2)}\n`);
}
