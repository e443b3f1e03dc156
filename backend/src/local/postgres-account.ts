import { stat } from 'node:fs/promises';
import { runProgram } from './run-program.ts';
import type { Account } from './run-program.ts';
import { reasonOf, StartError } from '../start-error.ts';

/**
 * The user to run PostgreSQL as: us, unless we are root, which PostgreSQL refuses. As root it is
 * the owner of the data folder where that exists, else the system user `postgres`, made when missing.
 */
export async function postgresAccount(folder: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await stat(folder).catch(() => undefined);
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  return (await findPostgresUser()) ?? (await createPostgresUser());
}

async function findPostgresUser(): Promise<Account | undefined> {
  try {
    return {
      uid: Number(await runProgram('id', ['-u', 'postgres'])),
      gid: Number(await runProgram('id', ['-g', 'postgres'])),
    };
  } catch {
    return undefined;
  }
}

async function createPostgresUser(): Promise<Account> {
  try {
    const flags = ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin'];
    await runProgram('useradd', [...flags, 'postgres']);
  } catch (cause) {
    throw new StartError(
      `PostgreSQL does not run as root, and the user "postgres" could not be created (${reasonOf(cause)}); create it, start as an ordinary user, or set DATABASE_URL`,
      { cause },
    );
  }
  const account = await findPostgresUser();
  if (account === undefined) throw new Error('useradd made no user "postgres"');
  return account;
}
