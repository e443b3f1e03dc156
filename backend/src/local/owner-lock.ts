import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import type { Logger } from '../logger.ts';
import { isAlive } from './process-state.ts';

/** Any number that nothing else in the same database locks. */
const lockKey = 7_205_918;

/** Held for as long as this process uses the cluster. Whoever finds it free may adopt the cluster. */
export interface OwnerLock {
  /** From now on a closed connection is expected, and nothing is revived. The lock itself ends with PostgreSQL or with us. */
  letGo(): Promise<void>;
}

/**
 * Takes the lock, or resolves with the pid of the process that holds it. It belongs to a database
 * session, so it ends with its holder even on kill -9. A lost session is taken up again, after
 * `revive` has brought back a PostgreSQL that died.
 */
export async function takeOwnerLock(
  url: string,
  revive: () => Promise<void>,
  logger?: Logger,
): Promise<OwnerLock | number> {
  const expected = new AbortController();
  let regaining: Promise<void> | undefined;
  const hold = (client: Client) => {
    client.once('end', () => {
      if (!expected.signal.aborted) regaining = regain();
    });
  };
  const regain = async () => {
    logger?.warn('the owner session of the embedded PostgreSQL was lost; taking it up again');
    for (;;) {
      await sleep(1_000, undefined, { ref: false, signal: expected.signal }).catch(() => {});
      if (expected.signal.aborted) return;
      await revive();
      const session = await openSession(url).catch(() => undefined);
      if (session instanceof Client) return hold(session);
    }
  };

  for (;;) {
    const session = await openSession(url);
    if (session instanceof Client) {
      hold(session);
      return {
        async letGo() {
          expected.abort();
          await regaining;
        },
      };
    }
    if (isAlive(session)) return session;
    // Its holder was just killed; PostgreSQL is about to notice.
    await sleep(100);
  }
}

/** A session that holds the lock, or the pid of the process whose session does. */
async function openSession(url: string): Promise<Client | number> {
  const client = new Client({ connectionString: url, application_name: `owner ${process.pid}` });
  // Without a listener a closed connection would end this process; `end` follows and is handled.
  client.on('error', () => {});
  await client.connect();
  const lock = await client.query(`select pg_try_advisory_lock(${lockKey}) as taken`);
  if (lock.rows[0].taken) return client;
  const holder = await client.query(
    `select application_name as name from pg_locks join pg_stat_activity using (pid)
     where locktype = 'advisory' and objid = ${lockKey} and granted`,
  );
  await client.end();
  return Number(holder.rows[0]?.name.split(' ')[1] ?? 0);
}
