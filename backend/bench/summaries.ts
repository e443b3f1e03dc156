import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { migrateToLatest } from '#src/db/migrate.ts';
import { fillChats } from './fill.ts';
import { median, percentile } from './measure.ts';
import { apiKey, startEntry, startLoad, startServing } from './processes.ts';
import type { Server } from './server.ts';

const THRESHOLD = 24;
const TURNS = 200;

/** How many summaries one worker writes in a second, and how long after its threshold a chat has one. */
export async function runSummaries(server: Server, sessions: number) {
  const model = await startServing('model');
  const load = startLoad();
  const { url, client } = await server.createDatabase('summaries');
  await migrateToLatest(url);
  // Two before the threshold, so that one turn brings them there.
  await fillChats(client, { chats: TURNS, messages: THRESHOLD - 2, prefix: 'ripe' });
  await fillChats(client, { chats: sessions, messages: THRESHOLD, prefix: 'due' });
  const settings = {
    DATABASE_URL: url,
    LLM_BASE_URL: `${model.url}/0/v1`,
    LLM_MODEL: 'bench',
    SUMMARY_SWEEP_SECONDS: '1',
    SUMMARY_THRESHOLD: String(THRESHOLD),
  };
  const worker = await startEntry('worker', settings);
  try {
    await versions(client, 1);
    const startedAt = performance.now();
    const already = await versions(client, 0);
    const all = await versions(client, sessions);
    const seconds = (performance.now() - startedAt) / 1_000;
    const versions_per_second = (all - already) / seconds;

    const api = await startEntry('api', settings);
    const { length } = (
      await load.run({
        target: { kind: 'http', url: api.url, apiKey },
        concurrency: 1,
        turns: TURNS,
        chats: TURNS,
        prefix: 'ripe',
        from: 0,
      })
    ).times;
    await versions(client, sessions + length);
    await api.stop();
    const { rows } = await client.query(
      `select extract(epoch from v.created_at - reply.created_at)::float8 * 1000 as waited
        from conversation_summaries v join chat_sessions s on s.id = v.session_id
          join lateral (select max(created_at) as created_at from messages
            where session_id = s.id) as reply on true
        where s.chat_id like 'ripe %'`,
    );
    const waited = rows.map((row) => Number(row.waited)).sort((a, b) => a - b);
    const report = {
      versions_per_second,
      threshold_to_version_median_ms: median(waited),
      threshold_to_version_p95_ms: percentile(waited, 0.95),
    };
    console.log(
      `${versions_per_second.toFixed(0)} versions a second by one worker; from threshold to version ` +
        `${report.threshold_to_version_median_ms.toFixed(0)} ms (median), ` +
        `${report.threshold_to_version_p95_ms.toFixed(0)} ms (95th percentile)`,
    );
    return report;
  } finally {
    await worker.stop();
    await Promise.all([load.stop(), model.stop()]);
  }
}

/** Waits until there are so many versions; returns how many there are. */
async function versions(client: Client, count: number): Promise<number> {
  for (;;) {
    const { rows } = await client.query(
      'select count(*)::integer as count from conversation_summaries',
    );
    if (rows[0].count >= count) return rows[0].count;
    await sleep(20);
  }
}
