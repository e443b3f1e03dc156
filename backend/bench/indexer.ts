import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { startEntry } from './processes.ts';

/** The sweep may be so many messages behind: it looks at the newest with the next batch. */
const SWEEP_LAG = 1_000;

/** The worker, for the recall index alone. `settle` waits until everything is in it. */
export async function startIndexer(settings: Record<string, string>, client: Client) {
  const { pid, stop } = await startEntry('worker', { ...settings, SUMMARY_MODE: 'off' });
  return {
    pid,
    stop,
    async settle() {
      const pending = `select exists (select from unentered_messages)
        or exists (select from embeddings where terms is null)
        or (select last_value from messages_id_seq) - (select swept_to from message_sweep)
          > ${SWEEP_LAG} as pending`;
      while ((await client.query(pending)).rows[0].pending === true) await sleep(50);
    },
  };
}
