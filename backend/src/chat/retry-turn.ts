import { sql } from 'kysely';
import type { Db } from '#src/db/connect.ts';
import { AppError } from '#src/errors.ts';

/**
 * Has a failed turn answered after all. It stands as one that lost its process, so the turn keeper of
 * whichever process looks first takes it over, and its reply goes to the outbox.
 * Rejects with `not_found`, or `turn_not_failed` where there is nothing to try again.
 */
export async function retryTurn(db: Db, turnId: string): Promise<void> {
  const retried = await db
    .updateTable('turns')
    .set({
      state: 'received',
      lease_expires_at: sql`now()`,
      cancel_requested_at: null,
      error_code: null,
      error: null,
      ended_at: null,
    })
    .where('id', '=', turnId)
    .where('state', '=', 'failed')
    .where('user_message_id', 'is not', null)
    .where(sql<boolean>`not is_taken_over(chat_id)`)
    .executeTakeFirst();
  if (retried.numUpdatedRows > 0n) return;

  const turn = await db
    .selectFrom('turns')
    .select(['state', 'user_message_id', sql<boolean>`is_taken_over(chat_id)`.as('taken_over')])
    .where('id', '=', turnId)
    .executeTakeFirst();
  if (turn === undefined) throw new AppError('not_found', `There is no turn ${turnId}.`);
  if (turn.state !== 'failed') {
    throw new AppError(
      'turn_not_failed',
      `The turn is ${turn.state}: only a failed one is retried.`,
    );
  }
  throw new AppError(
    'turn_not_failed',
    turn.taken_over
      ? 'An operator holds this chat: hand it back first.'
      : 'The message of this turn was deleted: there is nothing to answer.',
  );
}
