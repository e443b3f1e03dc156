import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { findPostgresTools } from '#src/backup/postgres-tools.ts';
import { postgresMajor } from '#src/local/postgres-programs.ts';
import { runProgram } from '#src/local/run-program.ts';
import { cache, findUnder, unpackedPackages } from './debian-packages.ts';

/** The first release of Debian that has the version of our embedded server. */
const RELEASE = 'forky';
const client = `postgresql-client-${postgresMajor}`;

/**
 * A PATH with pg_dump and pg_restore for the embedded server: this machine's, or those of a newer
 * Debian's packages, unpacked into a cache folder and run with the C library they came with.
 */
export async function pathWithPostgresTools(): Promise<string> {
  const own = process.env.PATH ?? '';
  const found = await findPostgresTools(Number(postgresMajor), own).catch(() => undefined);
  if (found !== undefined) return own;
  try {
    return `${await unpackedTools()}${path.delimiter}${own}`;
  } catch (error) {
    throw new Error(
      `There is no pg_dump ${postgresMajor} for the tests, and its packages could not be fetched (${String(error)}). Install ${client}.`,
      { cause: error },
    );
  }
}

async function unpackedTools(): Promise<string> {
  const apt = await aptOfRelease();
  const root = await unpackedPackages(client, () => packagesOf(apt), apt);
  const { libraryFolders } = await findUnder(root, 'pg_dump');
  const bin = path.join(root, 'wrapped');
  await mkdir(bin, { recursive: true });
  const loader = (await readdir(root, { recursive: true })).find((name) =>
    /ld-linux[^/]*\.so\.\d$/.test(name),
  );
  for (const name of ['pg_dump', 'pg_restore']) {
    const { program } = await findUnder(root, name);
    const run = `"${root}/${loader}" --library-path "${libraryFolders.join(':')}" "${program}"`;
    await writeFile(path.join(bin, name), `#!/bin/sh\nexec ${run} "$@"\n`);
    await chmod(path.join(bin, name), 0o755);
  }
  return bin;
}

/** Flags under which apt knows that release and nothing else, and leaves the machine's own lists alone. */
async function aptOfRelease(): Promise<string[]> {
  const folder = path.join(cache, `apt-${RELEASE}`);
  const sources = path.join(folder, 'debian.sources');
  await mkdir(path.join(folder, 'lists', 'partial'), { recursive: true });
  await mkdir(path.join(folder, 'cache', 'archives', 'partial'), { recursive: true });
  await writeFile(path.join(folder, 'status'), '');
  await writeFile(
    sources,
    `Types: deb\nURIs: ${await debianMirror()}\nSuites: ${RELEASE}\nComponents: main\n` +
      'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n',
  );
  const settings = {
    'Dir::Etc::sourcelist': sources,
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::State::lists': path.join(folder, 'lists'),
    'Dir::State::status': path.join(folder, 'status'),
    'Dir::Cache': path.join(folder, 'cache'),
    'APT::Sandbox::User': 'root',
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

/** Where this machine has its own packages from. */
async function debianMirror(): Promise<string> {
  const uris = await runProgram('apt-get', ['indextargets', '--format', '$(REPO_URI)']);
  const mirror = uris.split('\n').find((uri) => /\/debian\/?$/.test(uri));
  if (mirror === undefined) throw new Error('apt knows no mirror of Debian');
  return mirror;
}

/** The client and every library it needs, the C library too. */
async function packagesOf(apt: string[]): Promise<string[]> {
  const only = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'];
  const flags = ['--recurse', ...only.map((kind) => `--no-${kind}`)];
  const depends = await runProgram('apt-cache', [...apt, 'depends', ...flags, 'libpq5']);
  const libraries = [...depends.matchAll(/^((?:lib|zlib)[\w.+-]+)$/gm)].map(
    ([, name = '']) => name,
  );
  if (libraries.length === 0) throw new Error('apt knows no libpq5 yet');
  return [client, 'liblz4-1', 'libzstd1', ...new Set(libraries)];
}
