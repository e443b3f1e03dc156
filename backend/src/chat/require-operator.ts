import { sql } from 'kysely';
import type { Db } from '#src/db/connect.ts';
import { AppError } from '#src/errors.ts';

/** Of Directus: no such table, schema or column, or no right to read it. */
const noPanel = new Set(['42P01', '3F000', '42703', '42501']);

/**
 * Lets nobody pass but an active user of the panel who is an Operator or Administrator there, as it
 * stands now. Rejects with `operator_not_allowed`.
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
    const { rows } = await sql`
      select from directus.directus_users u join directus.directus_roles r on r.id = u.role
      where u.id::text = ${userId} and u.status = 'active'
        and r.name in ('Operator', 'Administrator')`.execute(db);
    return rows.length > 0;
  } catch (error) {
    if (error instanceof Error && 'code' in error && noPanel.has(String(error.code))) {
      return false;
    }
    throw error;
  }
}
