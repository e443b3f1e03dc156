import { sql } from 'kysely';
import { setTimeout as sleep } from 'node:timers/promises';
import { countSummaryWork } from '#src/db/summary-work.ts';
import type { SummaryWork } from '#src/db/summary-work.ts';
import type { QueueHealth } from '#src/memory/summaries.ts';
import type { Chat } from './chat.ts';

export interface HealthReport {
  /** `degraded`: replies come as ever, without what the part that is down gives. */
  status: 'ok' | 'degraded' | 'down';
  database: { status: 'ok' | 'down' };
  model: { name: string };
  /** null: summaries need none. */
  queue: QueueHealth | null;
  /** null while the database is down. */
  summaries: ({ mode: Chat['summaries']['mode'] } & SummaryWork) | null;
}

/** A probe should not wait as long as a request may. */
const PROBE_TIMEOUT_MS = 2_000;

/** Asks each dependency. The model is only named: a probe should not cost money. */
export async function checkHealth(chat: Chat): Promise<HealthReport> {
  const { mode } = chat.summaries;
  const [work, isUp, queue] = await Promise.all([
    answered(countSummaryWork(chat.db, chat.settings.summaryThreshold)),
    answered(sql`select 1`.execute(chat.db)),
    chat.summaries.checkQueue(),
  ]);
  const database = isUp === undefined ? 'down' : 'ok';
  return {
    status: database === 'down' ? 'down' : queue?.status === 'down' ? 'degraded' : 'ok',
    database: { status: database },
    model: { name: chat.model.name },
    queue,
    summaries: work === undefined ? null : { mode, ...work },
  };
}

/** undefined where it fails or takes too long. */
async function answered<Answer>(question: Promise<Answer>): Promise<Answer | undefined> {
  return await Promise.race([
    question.catch(() => undefined),
    sleep(PROBE_TIMEOUT_MS, undefined, { ref: false }),
  ]);
}
