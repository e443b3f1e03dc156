import { cp, glob, readFile, rm, writeFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';

const source = join(import.meta.dirname, '..', 'extensions');

/** Our extensions as Directus can bundle them for the browser: without types, under the same names. */
export async function prepareExtensions(folder: string): Promise<string> {
  const target = join(folder, 'extensions');
  await rm(target, { recursive: true, force: true });
  await cp(source, target, { recursive: true });
  for await (const name of glob('**/*.ts', { cwd: target })) {
    const file = join(target, name);
    await writeFile(file, stripTypeScriptTypes(await readFile(file, 'utf8')));
  }
  return target;
}
