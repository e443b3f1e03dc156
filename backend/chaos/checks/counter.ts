import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { brokenSessions } from '#test/served-chats.ts';
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
  const client = new Client({ connectionString: databaseUrl, query_timeout: 10_000 });
  client.on('error', () => {});
  await client.connect();
  try {
    const { rows } = await client.query<Broken>(
      `select broken.*, s.chat_id from (${brokenSessions}) as broken join chat_sessions s using (id)`,
    );
    return rows.map((row) => ({
      rule: 'exact counter, growing watermark',
      chat: row.chat_id,
      about: [row.id],
      text: `session ${row.id} says ${row.messages_since_summary} messages since its summary, and has ${row.counted}`,
    }));
  } finally {
    await client.end();
  }
}

interface Broken {
  id: string;
  chat_id: string;
  messages_since_summary: number;
  counted: number;
}
