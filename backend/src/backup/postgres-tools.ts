import { access, constants, glob } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { runProgram } from '../local/run-program.ts';
import { StartError } from '../start-error.ts';

/** PostgreSQL's own programs. They read servers of their version and older ones, no newer. */
export interface PostgresTools {
  pg_dump: string;
  pg_restore: string;
}

/** Where packages put them beside PATH; Debian's names in PATH lead to the version of the newest server here. */
const usualFolders = [
  '/usr/lib/postgresql/*/bin',
  '/usr/pgsql-*/bin',
  '/opt/homebrew/opt/{postgresql,libpq}*/bin',
  '/usr/local/opt/{postgresql,libpq}*/bin',
];

/** The newest on this machine. Rejects with `StartError` where none is new enough for the server. */
export async function findPostgresTools(
  serverMajor: number,
  searchPath: string | undefined,
): Promise<PostgresTools> {
  const folders = [
    ...(searchPath ?? '').split(delimiter),
    ...(await Array.fromAsync(glob(usualFolders))),
  ];
  const found = await Promise.all(folders.filter((folder) => folder !== '').map(toolsIn));
  const [newest] = found.filter((tools) => tools !== undefined).sort((a, b) => b.major - a.major);
  if (newest !== undefined && newest.major >= serverMajor) return newest;
  const there =
    newest === undefined ? 'none was found' : `only ${newest.major} was found (${newest.pg_dump})`;
  throw new StartError(
    `PATH: the server is PostgreSQL ${serverMajor}, which needs pg_dump and pg_restore ${serverMajor} or newer, and ${there}. ` +
      `Install postgresql-client-${serverMajor} (Debian and Ubuntu: from https://wiki.postgresql.org/wiki/Apt), ` +
      `postgresql${serverMajor} (Fedora) or postgresql@${serverMajor} (Homebrew).`,
  );
}

async function toolsIn(folder: string): Promise<(PostgresTools & { major: number }) | undefined> {
  const tools = { pg_dump: join(folder, 'pg_dump'), pg_restore: join(folder, 'pg_restore') };
  try {
    await access(tools.pg_restore, constants.X_OK);
    const version = await runProgram(tools.pg_dump, ['--version']);
    return { ...tools, major: Number(/ (\d+)/.exec(version)?.[1] ?? 0) };
  } catch {
    return undefined;
  }
}
