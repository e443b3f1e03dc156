import { sql } from 'kysely';
import type { Db } from '#src/db/connect.ts';
import { AppError } from '#src/errors.ts';

/**
 * What PostgreSQL says where the panel's tables are not there, may not be read or are not what they
 * were: SQLSTATE classes 22 (data) and 42 (names, types, rights), and "no such schema".
 */
const otherTables = /^(22...|42...|3F000)$/;
const LOCK_NOT_AVAILABLE = '55P03';

/** Whoever waits for a lock holds a connection that turns need. */
const PATIENCE_MS = 100;

/**
 * Lets nobody pass but an active user of the panel who is an Operator or Administrator there, as it
 * stands now. Rejects with `operator_not_allowed`, or `database_unavailable` while the panel's tables
 * are locked, as by its own upgrade.
 */
export async function requireOperator(db: Db, userId: string): Promise<void> {
  if (!(await isOperator(db, userId))) {
    throw new AppError(
      'operator_not_allowed',
      'X-Operator must be the id of an active Directus user with the role Operator or Administrator.',
    );
  }
}

async function isOperator(db: Db, userId: string): Promise<boolean> {
  try {
    const { rows } = await db.transaction().execute(async (tx) => {
      await sql`select set_config('lock_timeout', ${String(PATIENCE_MS)}, true)`.execute(tx);
      return await sql`
        select from directus.directus_users u join directus.directus_roles r on r.id = u.role
        where u.id::text = ${userId} and u.status = 'active'
          and r.name in ('Operator', 'Administrator')`.execute(tx);
    });
    return rows.length > 0;
  } catch (cause) {
    throw explain(cause);
  }
}

function explain(cause: unknown): unknown {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  if (code === LOCK_NOT_AVAILABLE) {
    return new AppError(
      'database_unavailable',
      'The tables of the panel are locked, as while it is upgraded; try again soon.',
      { cause, retryAfterSeconds: 2 },
    );
  }
  if (otherTables.test(code)) {
    return new AppError(
      'operator_not_allowed',
      'Nobody is an operator: the tables of the panel (directus.directus_users, directus_roles) are not there or are not what they were.',
      { cause },
    );
  }
  return cause;
}
