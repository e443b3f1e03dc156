import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { runProgram } from '#src/local/run-program.ts';

/** Where unpacked packages are kept between runs. */
export const cache = path.join(import.meta.dirname, '../../.cache');

/**
 * The folder of what Debian's packages hold, without installing them. `apt` are further flags, for
 * packages of another release.
 */
export async function unpackedPackages(
  name: string,
  packages: () => Promise<string[]>,
  apt: string[] = [],
): Promise<string> {
  const folder = path.join(cache, name);
  const root = path.join(folder, 'root');
  if (await stat(root).catch(() => undefined)) return root;
  await mkdir(folder, { recursive: true });
  // Into a folder beside it first, so that it is there whole or not at all.
  const draft = await mkdtemp(path.join(folder, 'draft-'));
  try {
    const download = async () =>
      runProgram('apt-get', [...apt, 'download', ...(await packages())], { cwd: draft });
    await download().catch(async () => {
      await runProgram('apt-get', [...apt, 'update']);
      await download();
    });
    const unpacked = path.join(draft, 'root');
    for (const file of await readdir(draft)) {
      if (file.endsWith('.deb'))
        await runProgram('dpkg-deb', ['-x', path.join(draft, file), unpacked]);
    }
    await rename(unpacked, root).catch((error: NodeJS.ErrnoException) => {
      // Another test file was first.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
    return root;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

export async function findUnder(
  root: string,
  name: string,
): Promise<{ program: string; libraryFolders: string[] }> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const program = entries.find((entry) => entry.name === name && entry.parentPath.endsWith('bin'));
  if (program === undefined) throw new Error(`the packages hold no ${name}`);
  const libraries = entries.filter((entry) => entry.name.includes('.so.'));
  return {
    program: path.join(program.parentPath, program.name),
    libraryFolders: [...new Set(libraries.map(({ parentPath }) => parentPath))],
  };
}
