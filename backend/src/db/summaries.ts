import { sql } from 'kysely';
import type { Db } from './connect.ts';
import { isLockConflict, retryOnLockConflict } from './retry-on-lock-conflict.ts';

/** What a session's next summary is built upon, read at one moment. */
export interface SummaryBasis {
  /** null: nothing was summarised yet. */
  latest: { version: number; content: string; last_message_id: string } | null;
  /** The messages after it, oldest first. */
  messages: SourceMessage[];
  /** A failure is not to be tried again yet. */
  held_back: boolean;
}

export interface SourceMessage {
  id: string;
  role: 'user' | 'assistant' | 'system' | 'tool';
  content: string;
  /** null: not counted yet. */
  tokens: number | null;
  /** ISO 8601. */
  created_at: string;
}

/**
 * Reads at most `limit` messages after the latest summary, or after the message `after`; undefined
 * where there is no such session. Stops before a message that is being answered. Messages of
 * unanswered turns are passed over: when one is answered in the end, it moves to where that happens.
 */
export async function findSummaryBasis(
  db: Db,
  sessionId: string,
  { limit, after }: { limit: number; after?: string },
): Promise<SummaryBasis | undefined> {
  const { rows } = await sql<SummaryBasis>`
    with latest as (
      select version, content, last_message_id from conversation_summaries
      where session_id = ${sessionId} order by version desc limit 1
    ), source as (
      select m.id, m.role, m.content, m.tokens, m.created_at from messages m
      where m.session_id = ${sessionId}
        and m.id > coalesce(${after ?? null}::bigint, (select last_message_id from latest), 0)
        and not exists (select from turns t where t.session_id = m.session_id
          and t.state in ('received', 'failed', 'cancelled') and t.user_message_id = m.id)
        and m.id < coalesce((select min(t.user_message_id) from turns t
          where t.session_id = ${sessionId} and t.state = 'answering'), 9223372036854775807)
      order by m.id limit ${limit}
    )
    select coalesce(s.summary_retry_at > now(), false) as held_back,
      (select json_build_object('version', version, 'content', content,
        'last_message_id', last_message_id::text) from latest) as latest,
      coalesce((select json_agg(json_build_object('id', id::text, 'role', role, 'content', content,
        'tokens', tokens, 'created_at', created_at) order by id) from source), '[]') as messages
    from chat_sessions s where s.id = ${sessionId}`.execute(db);
  return rows[0];
}

export type Commit =
  /** `left`: the session's messages after this version, as of its commit. */
  | { outcome: 'written'; version: number; left: number }
  /** The summary or one of the messages was edited, deleted or superseded meanwhile. */
  | { outcome: 'changed' }
  | { outcome: 'erased' };

/**
 * Stores the next version, covering everything up to the last of `basis.messages`, if all of
 * `basis` still stands as it was read. The triggers correct the counter in the same transaction.
 */
export async function commitSummary(
  db: Db,
  sessionId: string,
  basis: Pick<SummaryBasis, 'latest' | 'messages'>,
  content: string,
): Promise<Commit> {
  try {
    // What the model wrote is not thrown away because somebody holds a lock for a moment.
    return await retryOnLockConflict(() => tryToCommit(db, sessionId, basis, content));
  } catch (error) {
    if (isLockConflict(error)) return { outcome: 'changed' };
    throw error;
  }
}

async function tryToCommit(
  db: Db,
  sessionId: string,
  basis: Pick<SummaryBasis, 'latest' | 'messages'>,
  content: string,
): Promise<Commit> {
  return await db.transaction().execute(async (tx): Promise<Commit> => {
    // Somebody who edits by hand locks in another order; better to try again than a deadlock.
    await sql`set local lock_timeout = '800ms'`.execute(tx);
    const { rows: sessions } = await sql`
      select from chat_sessions where id = ${sessionId} for no key update`.execute(tx);
    if (sessions.length === 0) return { outcome: 'erased' };

    // Locked in share mode: an edit that is about to commit is waited for and seen.
    const { rows: summaries } = await sql<{ version: number; content: string }>`
      select version, content from conversation_summaries
      where session_id = ${sessionId} order by version desc limit 1 for share`.execute(tx);
    const latest = summaries[0];
    if (latest?.version !== basis.latest?.version || latest?.content !== basis.latest?.content) {
      return { outcome: 'changed' };
    }
    const { rows: messages } = await sql<{ id: string; content: string }>`
      select id, content from messages
      where id = any(${basis.messages.map(({ id }) => id)}::bigint[]) for share`.execute(tx);
    const stored = new Map(messages.map((message) => [message.id, message.content]));
    if (basis.messages.some((message) => stored.get(message.id) !== message.content)) {
      return { outcome: 'changed' };
    }

    const version = (latest?.version ?? 0) + 1;
    await tx
      .insertInto('conversation_summaries')
      .values({ session_id: sessionId, version, content, last_message_id: newest(basis) })
      .execute();
    const { left } = await tx
      .updateTable('chat_sessions')
      .set({
        summary_error: null,
        summary_failed_at: null,
        summary_failures: 0,
        summary_retry_at: null,
      })
      .where('id', '=', sessionId)
      .returning('messages_since_summary as left')
      .executeTakeFirstOrThrow();
    return { outcome: 'written', version, left };
  });
}

/** The last message; where an operator deleted what the version before ended with, that version's. */
function newest({ latest, messages }: Pick<SummaryBasis, 'latest' | 'messages'>): bigint {
  const ids = [latest?.last_message_id ?? 0, ...messages.map(({ id }) => id)].map(BigInt);
  return ids.reduce((highest, id) => (id > highest ? id : highest));
}
