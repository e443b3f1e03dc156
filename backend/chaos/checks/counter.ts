import { setTimeout as sleep } from 'node:timers/promises';
import { connected } from '../connected.ts';
import type { Violation } from './evidence.ts';

const LOOK_EVERY_MS = 1_000;

/**
 * 2 and 3, in one snapshot again and again until `end`: the counters are exact, the watermarks
 * grow. Resolves with the first violations; with none at the end.
 */
export async function watchCounters(databaseUrl: string, end: AbortSignal): Promise<Violation[]> {
  while (!end.aborted) {
    await sleep(LOOK_EVERY_MS, undefined, { signal: end }).catch(() => {});
    // While PostgreSQL is away there is nothing to see.
    const found = await checkCounters(databaseUrl).catch(() => []);
    if (found.length > 0) return found;
  }
  return [];
}

async function checkCounters(databaseUrl: string): Promise<Violation[]> {
  const { rows } = await connected(databaseUrl, (client) => client.query<Broken>(brokenSessions));
  return rows.map((row) => ({
    rule: 'exact counter, growing watermark',
    chat: row.chat_id,
    about: [row.id],
    text: `session ${row.id} says ${row.messages_since_summary} messages since its summary, and has ${row.counted}`,
  }));
}

/** A summary that was written anew ends where the one before does. */
const brokenSessions = `
  select s.id, s.chat_id, s.messages_since_summary, counted.count::integer as counted
  from chat_sessions s, lateral (select count(*) from messages m
    where m.session_id = s.id and m.id > latest_watermark(s.id)) as counted
  where s.messages_since_summary <> counted.count
    or exists (select from (
        select version, last_message_id, row_number() over (order by version) as expected,
          lag(last_message_id, 1, 0) over (order by version) as before
        from conversation_summaries where session_id = s.id) as v
      where version <> expected or last_message_id < before)`;

interface Broken {
  id: string;
  chat_id: string;
  messages_since_summary: number;
  counted: number;
}
