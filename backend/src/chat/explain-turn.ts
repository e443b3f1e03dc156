import type { Selectable } from 'kysely';
import type { Db } from '#src/db/connect.ts';
import type { Turns } from '#src/db/tables.ts';
import { AppError } from '#src/errors.ts';
import { unpackContextLog } from '#src/memory/context-log.ts';
import type { ContextLog, StoredContextLog } from '#src/memory/context-log.ts';

/** What the model was sent for a turn's reply, and why. Texts are read now: an erased one is null. */
export interface TurnExplanation {
  turn_id: string;
  session_id: string;
  chat_id: string;
  state: string;
  attempts: number;
  error: { code: string; message: string } | null;
  model: string | null;
  finish_reason: string | null;
  latency_ms: number | null;
  /** As the provider counted them; null where it gave none. */
  tokens: { prompt: number | null; completion: number | null };
  cost_usd: number | null;
  user_message_id: string | null;
  reply_message_id: string | null;
  context: Explained | null;
}

type Explained = Omit<ContextLog, 'summary' | 'recalled'> & {
  summary: (NonNullable<ContextLog['summary']> & { content: string | null }) | null;
  recalled: (ContextLog['recalled'][number] & { content: string | null })[];
};

/** Rejects with `not_found` where there is no such turn. */
export async function explainTurn(db: Db, turnId: string): Promise<TurnExplanation> {
  const turn = await db
    .selectFrom('turns')
    .selectAll()
    .$castTo<Omit<Selectable<Turns>, 'context'> & { context: StoredContextLog | null }>()
    .where('id', '=', turnId)
    .executeTakeFirst();
  if (turn === undefined) throw new AppError('not_found', `There is no turn ${turnId}.`);
  return {
    turn_id: turn.id,
    session_id: turn.session_id,
    chat_id: turn.chat_id,
    state: turn.state,
    attempts: turn.attempts,
    error: turn.error_code === null ? null : { code: turn.error_code, message: turn.error ?? '' },
    model: turn.model,
    finish_reason: turn.finish_reason,
    latency_ms: turn.latency_ms,
    tokens: { prompt: turn.prompt_tokens, completion: turn.completion_tokens },
    cost_usd: turn.cost_usd === null ? null : Number(turn.cost_usd),
    user_message_id: turn.user_message_id,
    reply_message_id: turn.reply_message_id,
    context: await withTexts(db, turn.session_id, unpackContextLog(turn.context)),
  };
}

async function withTexts(
  db: Db,
  sessionId: string,
  log: ContextLog | undefined,
): Promise<Explained | null> {
  if (log === undefined) return null;
  const summary =
    log.summary &&
    (await db
      .selectFrom('conversation_summaries')
      .select('content')
      .where('id', '=', log.summary.id)
      .where('session_id', '=', sessionId)
      .executeTakeFirst());
  return {
    ...log,
    summary: log.summary && { ...log.summary, content: summary?.content ?? null },
    recalled: await withMemoryTexts(db, log.recalled),
  };
}

async function withMemoryTexts(db: Db, recalled: ContextLog['recalled']) {
  if (recalled.length === 0) return [];
  const memories = await db
    .selectFrom('embeddings')
    .select(['id', 'content'])
    .where(
      'id',
      'in',
      recalled.map((hit) => hit.memory_id),
    )
    .execute();
  const contents = new Map(memories.map(({ id, content }) => [id, content]));
  return recalled.map((hit) => ({ ...hit, content: contents.get(hit.memory_id) ?? null }));
}
