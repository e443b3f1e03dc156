import { sql } from 'kysely';
import type { Db } from './connect.ts';

/**
 * Sessions whose summary is due, those that wait longest first: asked for by an operator, past the
 * threshold, closed with something new, or with something new and no message for `idleMinutes`
 * (0: never). Not those that are held back after a failure, nor (unless asked for) those where
 * nothing new was answered.
 */
export async function listSessionsToSummarize(
  db: Db,
  due: { threshold: number; idleMinutes: number; limit: number },
): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select id, summary_requested_at as since from chat_sessions
    where summary_request is not null and (summary_retry_at is null or summary_retry_at <= now())
    union
    select s.id, s.unsummarized_since from chat_sessions s
    where s.unsummarized_since is not null and s.summary_request is null
      and (s.summary_retry_at is null or s.summary_retry_at <= now())
      and (s.messages_since_summary >= ${due.threshold} or not s.is_active
        or (${due.idleMinutes} > 0
          and s.unsummarized_since < now() - make_interval(mins => ${due.idleMinutes})
          and (select created_at from messages where session_id = s.id order by id desc limit 1)
            < now() - make_interval(mins => ${due.idleMinutes})))
      and exists (select from messages m
        where m.session_id = s.id and m.id > latest_watermark(s.id)
          and not exists (select from turns t where t.id = m.turn_id and t.user_message_id = m.id
            and t.state not in ('answered', 'silenced')))
    order by since limit ${due.limit}`.execute(db);
  return rows.map((row) => row.id);
}

/**
 * Keeps why a try failed where an operator sees it. `gaveUp`: the job does not try again by itself;
 * the session is held back for a time that doubles with every job, from two minutes to a day.
 */
export async function recordSummaryFailure(
  db: Db,
  sessionId: string,
  failure: { error: string; gaveUp: boolean },
): Promise<void> {
  await sql`
    update chat_sessions set summary_error = ${failure.error}, summary_failed_at = now(),
      summary_failures = summary_failures + ${failure.gaveUp ? 1 : 0},
      summary_retry_at = case when ${failure.gaveUp}::boolean then
        now() + least(interval '1 day', interval '2 minutes' * power(2, least(summary_failures, 10))) end
    where id = ${sessionId}`.execute(db);
}

export interface SummaryWork {
  /** Sessions past the threshold. */
  waiting: number;
  /** Seconds since the longest waiting of them came past it; null where none waits. */
  oldest_waiting_seconds: number | null;
  /** Sessions whose last try failed. */
  failed: number;
}

export async function countSummaryWork(db: Db, threshold: number): Promise<SummaryWork> {
  const { rows } = await sql<SummaryWork>`
    with waiting as (
      select id from chat_sessions
      where unsummarized_since is not null and messages_since_summary >= ${threshold}
      order by unsummarized_since
    )
    select (select count(*)::integer from waiting) as waiting,
      (select floor(extract(epoch from now() - min(m.created_at)))::integer
        from (select id from waiting limit 100) as longest,
          lateral (select created_at from messages
            where session_id = longest.id and id > latest_watermark(longest.id)
            order by id offset ${threshold - 1} limit 1) as m) as oldest_waiting_seconds,
      (select count(*)::integer from chat_sessions where summary_failed_at is not null) as failed`.execute(
    db,
  );
  const [work] = rows;
  if (work === undefined) throw new Error('counting returned no row');
  return work;
}

export type SummaryRequest = 'summarize' | 'rebuild';

/** Notes what an operator asks for, and lets it be tried at once. False where there is no such session. */
export async function askForSummary(
  db: Db,
  sessionId: string,
  request: SummaryRequest,
): Promise<boolean> {
  const { numAffectedRows } = await sql`
    update chat_sessions set summary_requested_at = now(), summary_retry_at = null,
      summary_request = case when summary_request = 'rebuild' then 'rebuild' else ${request} end
    where id = ${sessionId}`.execute(db);
  return numAffectedRows !== undefined && numAffectedRows > 0n;
}

interface AskedSummary {
  request: SummaryRequest;
  /** To the microsecond: it tells this request from a later one. */
  requested_at: string;
}

export async function findSummaryRequest(
  db: Db,
  sessionId: string,
): Promise<AskedSummary | undefined> {
  const { rows } = await sql<AskedSummary>`
    select summary_request as request, summary_requested_at::text as requested_at
    from chat_sessions where id = ${sessionId} and summary_request is not null`.execute(db);
  return rows[0];
}

/** It is done; one that was made meanwhile stays. */
export async function settleSummaryRequest(
  db: Db,
  sessionId: string,
  asked: AskedSummary,
): Promise<void> {
  await sql`
    update chat_sessions set summary_request = null, summary_requested_at = null
    where id = ${sessionId} and summary_requested_at = ${asked.requested_at}::timestamptz`.execute(
    db,
  );
}
