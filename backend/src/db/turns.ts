import { sql } from 'kysely';
import type { Selectable } from 'kysely';
import type { Db } from './connect.ts';
import { LEASE_SECONDS } from './turn-statements.ts';
import type { Turns } from './tables.ts';

export type DeliveryState = 'pending' | 'sending' | 'sent' | 'uncertain' | 'failed';

export type StoredTurn = Pick<
  Selectable<Turns>,
  'id' | 'session_id' | 'user_id' | 'request_hash' | 'error_code' | 'error'
> & {
  state: 'received' | 'answering' | 'answered' | 'silenced' | 'failed' | 'cancelled';
  reply_message_id: string | null;
  /** null: not answered, or the reply was deleted by hand. */
  reply: string | null;
  delivery_state: DeliveryState | null;
  lease_expired: boolean;
};

/** A turn of the chat with its reply. */
export async function findTurn(
  db: Db,
  chatId: string,
  turnId: string,
): Promise<StoredTurn | undefined> {
  return await db
    .selectFrom('turns as t')
    .leftJoin('messages as reply', 'reply.id', 't.reply_message_id')
    .select([
      't.id',
      't.session_id',
      't.user_id',
      't.request_hash',
      't.state',
      't.error_code',
      't.error',
      't.reply_message_id',
      'reply.content as reply',
      'reply.delivery_state',
      sql<boolean>`coalesce(t.lease_expires_at < now(), false)`.as('lease_expired'),
    ])
    .where('t.id', '=', turnId)
    .where('t.chat_id', '=', chatId)
    .$castTo<StoredTurn>()
    .executeTakeFirst();
}

/**
 * The turn of a message that came before, of a user who may still speak. `mayPass`: nobody has to be
 * approved.
 */
export async function findRepeatedTurn(
  db: Db,
  message: { chatId: string; userId: string; messageId: string | undefined },
  mayPass: boolean,
): Promise<{ id: string; isAnswered: boolean } | undefined> {
  if (message.messageId === undefined) return undefined;
  return await db
    .selectFrom('turns as t')
    .leftJoin('users as u', 'u.id', 't.user_id')
    .select([
      't.id',
      sql<boolean>`t.state in ('answered', 'silenced', 'cancelled')`.as('isAnswered'),
    ])
    .where('t.chat_id', '=', message.chatId)
    .where('t.client_message_id', '=', message.messageId)
    .where('t.user_id', '=', message.userId)
    .where(sql<boolean>`coalesce(u.access, 'unknown') <> 'blocked'`)
    .where(sql<boolean>`(${mayPass} or u.access = 'approved')`)
    .executeTakeFirst();
}

/** Ends an attempt without a reply. False where another attempt has taken over. */
export async function endTurn(
  db: Db,
  turn: { turnId: string; attempt: number },
  end: { state: 'failed' | 'cancelled'; errorCode: string; error: string; context: object },
): Promise<boolean> {
  const result = await db
    .updateTable('turns')
    .set({
      state: end.state,
      error_code: end.errorCode,
      error: end.error,
      context: JSON.stringify(end.context),
      lease_expires_at: null,
      ended_at: sql`now()`,
    })
    .where('id', '=', turn.turnId)
    .where('attempts', '=', turn.attempt)
    .where('state', '=', 'answering')
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

export interface HeldTurn {
  turnId: string;
  /** 0 for a turn that waits for its place. */
  attempt: number;
}

/** Renews the claims that are still held, and returns their turn ids. */
export async function renewLeases(db: Db, held: HeldTurn[]): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    update turns set lease_expires_at = now() + make_interval(secs => ${LEASE_SECONDS})
    from unnest(${held.map((turn) => turn.turnId)}::bigint[],
      ${held.map((turn) => turn.attempt)}::integer[]) as held (id, attempt)
    where turns.id = held.id and turns.attempts = held.attempt
      and turns.state in ('received', 'answering')
    returning turns.id`.execute(db);
  return rows.map((row) => row.id);
}

/** Gives claims back, so that another process takes the turns over at once. */
export async function releaseLeases(db: Db, held: HeldTurn[]): Promise<void> {
  await sql`
    update turns set lease_expires_at = now()
    from unnest(${held.map((turn) => turn.turnId)}::bigint[],
      ${held.map((turn) => turn.attempt)}::integer[]) as held (id, attempt)
    where turns.id = held.id and turns.attempts = held.attempt
      and turns.state in ('received', 'answering')`.execute(db);
}

/**
 * Of the turns that this process waits for, those whose wait is over: ended, orphaned,
 * or first in their chat. A turn that was erased meanwhile counts as ended.
 */
export async function listMovableTurns(db: Db, turnIds: string[]): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select waited.id from unnest(${turnIds}::bigint[]) as waited (id)
    left join turns t on t.id = waited.id
    where t.id is null
      or t.state not in ('received', 'answering')
      or t.lease_expires_at < now()
      or (t.state = 'received'
        and not exists (select from turns a where a.chat_id = t.chat_id and a.state = 'answering')
        and not exists (select from turns e
          where e.chat_id = t.chat_id and e.state = 'received' and e.id < t.id))`.execute(db);
  return rows.map((row) => row.id);
}

/** Of the turns that this process answers, those that someone asked to stop, or that were silenced. */
export async function listStoppedTurns(
  db: Db,
  turnIds: string[],
): Promise<{ id: string; silenced: boolean }[]> {
  return await db
    .selectFrom('turns')
    .select((eb) => ['id', eb('state', '=', 'silenced').$castTo<boolean>().as('silenced')])
    .where('id', 'in', turnIds)
    .where((eb) => eb.or([eb('cancel_requested_at', 'is not', null), eb('state', '=', 'silenced')]))
    .execute();
}

/** Unfinished turns whose process is gone, oldest first. */
export async function listOrphanedTurns(
  db: Db,
  limit: number,
): Promise<{ id: string; chat_id: string; session_id: string; state: string; attempts: number }[]> {
  return await db
    .selectFrom('turns')
    .select(['id', 'chat_id', 'session_id', 'state', 'attempts'])
    .where('state', 'in', ['received', 'answering'])
    .where('lease_expires_at', '<', sql<Date>`now()`)
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** Asks for the running answer of a chat to stop, in whichever process it is written. */
export async function requestStop(db: Db, chatId: string): Promise<string[]> {
  const rows = await db
    .updateTable('turns')
    .set({ cancel_requested_at: sql`now()` })
    .where('chat_id', '=', chatId)
    .where('state', '=', 'answering')
    .returning('id')
    .execute();
  return rows.map((row) => row.id);
}
