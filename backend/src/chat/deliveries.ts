import { sql } from 'kysely';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Db } from '#src/db/connect.ts';
import { AppError } from '#src/errors.ts';

/**
 * What a channel did with an assistant's message. `uncertain`: it may have been sent.
 * `pending` gives it back to the outbox: it was surely not sent, or is to be sent again.
 */
export type DeliveryMark = 'pending' | 'sending' | 'sent' | 'uncertain' | 'failed';

/** A message that waits in the outbox for its channel. */
export interface Delivery {
  message_id: string;
  chat_id: string;
  user_id: string;
  session_id: string;
  /** null where no turn led to it. */
  turn_id: string | null;
  text: string;
  author: string | null;
  /** `sending`: whoever took it never said how it ended. */
  state: 'pending' | 'sending';
}

/**
 * The states a mark may follow. Only one of two channel workers gets from `pending` to `sending`,
 * so a message is sent at most once; after `uncertain` or `failed`, making it `pending` again is a
 * decision.
 */
const mayFollow: Record<DeliveryMark, string[]> = {
  pending: ['sending', 'uncertain', 'failed'],
  sending: ['pending'],
  sent: ['pending', 'sending', 'uncertain', 'sent'],
  uncertain: ['sending', 'uncertain'],
  failed: ['pending', 'sending', 'uncertain', 'failed'],
};

/** A message that is claimed or being sent and not marked within this time is offered again. */
const CLAIM_SECONDS = 60;
const CLAIM_AT_ONCE = 20;
const LOOK_EVERY_MS = 500;

/**
 * With `inOrder`, `sending` is also refused while an earlier message of the chat waits to be sent;
 * the outbox then offers both at once, the earlier first.
 * Rejects with `not_found`, or `delivery_conflict` where another worker was first.
 */
export async function markDelivery(
  db: Db,
  messageId: string,
  mark: { state: DeliveryMark; channelMessageId?: string; error?: string; inOrder?: boolean },
): Promise<void> {
  if (mark.state === 'sending' && mark.inOrder && (await offerEarlier(db, messageId))) {
    throw new AppError('delivery_conflict', 'An earlier message of the chat waits to be sent.');
  }
  const marked = await db
    .updateTable('messages')
    .set({
      delivery_state: mark.state,
      delivery_due_at: dueAfter(mark.state),
      delivery_error: mark.error ?? null,
      ...(mark.channelMessageId === undefined ? {} : { channel_message_id: mark.channelMessageId }),
    })
    .where('id', '=', messageId)
    .where('role', '=', 'assistant')
    .where('delivery_state', 'in', mayFollow[mark.state])
    .executeTakeFirst();
  if (marked.numUpdatedRows === 0n) throw await refusal(db, messageId, mark.state);
}

/**
 * Sends a message again that was not sent, or perhaps: somebody has decided so.
 * Rejects with `not_found`, or `delivery_conflict` where it is in another state.
 */
export async function retryDelivery(db: Db, messageId: string): Promise<void> {
  const retried = await db
    .updateTable('messages')
    .set({ delivery_state: 'pending', delivery_due_at: dueAfter('pending'), delivery_error: null })
    .where('id', '=', messageId)
    .where('role', '=', 'assistant')
    .where('delivery_state', 'in', ['uncertain', 'failed'])
    .executeTakeFirst();
  if (retried.numUpdatedRows === 0n) throw await refusal(db, messageId, 'pending');
}

async function refusal(db: Db, messageId: string, state: DeliveryMark): Promise<AppError> {
  const message = await db
    .selectFrom('messages')
    .select('delivery_state')
    .where('id', '=', messageId)
    .where('role', '=', 'assistant')
    .executeTakeFirst();
  if (message === undefined) {
    return new AppError('not_found', `There is no assistant message ${messageId}.`);
  }
  return new AppError(
    'delivery_conflict',
    `The message is ${message.delivery_state ?? 'not to be delivered'}: it cannot become ${state}.`,
  );
}

/** When the outbox offers a message that was marked so. */
function dueAfter(state: DeliveryMark) {
  if (state === 'pending') return sql<Date>`now()`;
  if (state === 'sending') return sql<Date>`now() + make_interval(secs => ${CLAIM_SECONDS})`;
  return null;
}

/** Where earlier messages of the chat wait to be sent: makes them and this one due. True where some do. */
async function offerEarlier(db: Db, messageId: string): Promise<boolean> {
  const { rows } = await sql`
    with waiting as (
      select e.id from messages m
      join chat_sessions s on s.id = m.session_id
      join chat_sessions es on es.chat_id = s.chat_id
      join messages e on e.session_id = es.id
      where m.id = ${messageId} and e.id <= m.id
        and e.delivery_state = 'pending' and e.delivery_channel = m.delivery_channel
    )
    update messages set delivery_due_at = now()
    where id in (select id from waiting) and exists (select from waiting where id < ${messageId})
      and delivery_state = 'pending'
    returning id`.execute(db);
  return rows.length > 0;
}

/**
 * Claims messages of a channel that no caller is waiting for, and those that were being sent when
 * their sender went silent, oldest first. Waits up to `waitSeconds` for the first; returns an
 * empty list where none came, or `signal` aborted.
 */
export async function claimDeliveries(
  db: Db,
  channel: string,
  waitSeconds: number,
  signal: AbortSignal,
): Promise<Delivery[]> {
  const deadline = Date.now() + waitSeconds * 1_000;
  for (;;) {
    const claimed = await claimDue(db, channel);
    const left = deadline - Date.now();
    if (claimed.length > 0 || left <= 0 || signal.aborted) return claimed;
    await sleep(Math.min(LOOK_EVERY_MS, left), undefined, { signal }).catch(() => {});
  }
}

async function claimDue(db: Db, channel: string): Promise<Delivery[]> {
  const { rows } = await sql<Delivery>`
    with due as (
      select id from messages
      where delivery_channel = ${channel} and delivery_state in ('pending', 'sending')
        and delivery_due_at <= now()
      order by id limit ${CLAIM_AT_ONCE}
      for update skip locked
    ), claimed as (
      update messages m set delivery_due_at = now() + make_interval(secs => ${CLAIM_SECONDS})
      from due where m.id = due.id
      returning m.id, m.session_id, m.turn_id, m.content, m.author, m.delivery_state
    )
    select c.id as message_id, s.chat_id, coalesce(t.user_id, s.user_id) as user_id, c.session_id,
      t.id as turn_id, c.content as text, c.author, c.delivery_state as state
    from claimed c
    join chat_sessions s on s.id = c.session_id
    left join turns t on t.id = c.turn_id
    order by c.id`.execute(db);
  return rows;
}
