import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { AppError } from '#src/errors.ts';
import type { Chat } from './chat.ts';

export interface HealthReport {
  status: 'ok';
  database: { status: 'ok' };
  model: { name: string };
}

/** A probe should not wait as long as a request may. */
const PROBE_TIMEOUT_MS = 2_000;

/**
 * Asks each dependency that a reply needs; rejects with `database_unavailable` where one is down.
 * The model is only named: a probe should not cost money.
 */
export async function checkHealth(chat: Chat): Promise<HealthReport> {
  const answer = sql`select 1`.execute(chat.db);
  if ((await Promise.race([answer, sleep(PROBE_TIMEOUT_MS)])) === undefined) {
    answer.catch(() => {});
    throw new AppError('database_unavailable', 'The database does not answer in time.');
  }
  return { status: 'ok', database: { status: 'ok' }, model: { name: chat.model.name } };
}
