import type { Db } from '#src/db/connect.ts';
import { AppError } from '#src/errors.ts';

/** Lets in the user who was given this pairing code. Rejects with `not_found` where nobody was. */
export async function approveAccess(db: Db, pairingCode: string): Promise<{ userId: string }> {
  const user = await db
    .updateTable('users')
    .set({ access: 'approved', pairing_code: null })
    .where('pairing_code', '=', pairingCode.trim().toUpperCase())
    .where('access', '=', 'pending')
    .returning('id')
    .executeTakeFirst();
  if (user === undefined) {
    throw new AppError('not_found', `Nobody waits for approval with the code ${pairingCode}.`);
  }
  return { userId: user.id };
}
