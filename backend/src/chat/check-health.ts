import { sql } from 'kysely';
import type { Chat } from './chat.ts';

export interface HealthReport {
  status: 'ok' | 'down';
  database: { status: 'ok' | 'down' };
  model: { name: string };
}

/** A probe should not wait as long as a request may. */
const PROBE_TIMEOUT_MS = 2_000;

/** Asks each dependency that a reply needs. The model is only named: a probe should not cost money. */
export async function checkHealth(chat: Chat): Promise<HealthReport> {
  const database = await Promise.race([
    sql`select 1`.execute(chat.db).then(
      () => 'ok' as const,
      () => 'down' as const,
    ),
    new Promise<'down'>((resolve) => {
      setTimeout(resolve, PROBE_TIMEOUT_MS, 'down').unref();
    }),
  ]);
  return { status: database, database: { status: database }, model: { name: chat.model.name } };
}
