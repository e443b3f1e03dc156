import { sql } from 'kysely';
import type { Transaction } from 'kysely';
import type { Db } from '#src/db/connect.ts';
import type { DB } from '#src/db/tables.ts';
import { AppError } from '#src/errors.ts';
import { countTokens } from '#src/memory/count-tokens.ts';

/**
 * Says something in a chat as its operator. The row's trigger puts it into the outbox, as it does
 * with one that is written by hand. Where no conversation is open, this opens the one that the user
 * answers in. Returns the message's id; rejects with `not_found` where nothing is known of the chat.
 */
export async function sendOperatorMessage(
  db: Db,
  message: { chatId: string; text: string; operatorId: string | undefined },
): Promise<string> {
  return await db.transaction().execute(async (tx) => {
    const { id } = await tx
      .insertInto('messages')
      .values({
        session_id: await openSession(tx, message.chatId),
        role: 'assistant',
        content: message.text,
        tokens: countTokens(message.text),
        author: 'operator',
        operator_id: message.operatorId ?? null,
      })
      .returning('id')
      .executeTakeFirstOrThrow();
    return id;
  });
}

async function openSession(tx: Transaction<DB>, chatId: string): Promise<string> {
  await sql`select lock_chat(${chatId})`.execute(tx);
  const newest = await tx
    .selectFrom('chat_sessions')
    .select(['id', 'is_active', 'user_id', 'channel'])
    .where('chat_id', '=', chatId)
    .orderBy('is_active', 'desc')
    .orderBy('created_at', 'desc')
    .limit(1)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (newest === undefined) throw new AppError('not_found', 'Nothing is known of this chat.');
  if (newest.is_active) return newest.id;
  const { id } = await tx
    .insertInto('chat_sessions')
    .values({ chat_id: chatId, user_id: newest.user_id, channel: newest.channel })
    .returning('id')
    .executeTakeFirstOrThrow();
  return id;
}
