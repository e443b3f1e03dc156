import { Kysely, PostgresDialect } from 'kysely';
import { Pool } from 'pg';
import type { DB } from './tables.ts';

export type Db = Kysely<DB>;

export interface Connection {
  /** For everything but the turn's own statements. */
  db: Db;
  /** The same connections, for the turn's prepared statements. */
  pool: Pool;
  close: () => Promise<void>;
}

/** How long one attempt to get a connection, or one statement, may take before it counts as an outage. */
const CONNECT_TIMEOUT_MS = 5_000;
const QUERY_TIMEOUT_MS = 30_000;
/** Firewalls in clouds forget a connection that is idle for a few minutes. */
const KEEP_ALIVE_AFTER_MS = 60_000;

/** Opens a pool of at most `max` connections. Nothing is sent before the first statement. */
export function connect(
  databaseUrl: string,
  options: { max: number; onIdleError?: (error: Error) => void; queryTimeoutMs?: number },
): Connection {
  const pool = new Pool({
    connectionString: databaseUrl,
    max: options.max,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    // Never: a new connection plans every statement anew, and the first message after a quiet hour
    // should not pay for that.
    idleTimeoutMillis: 0,
    // A connection that nothing ends must be kept from being forgotten on the way.
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
    query_timeout: options.queryTimeoutMs ?? QUERY_TIMEOUT_MS,
    application_name: 'llm-bot-core',
  });
  // Without a listener, a connection that breaks while idle, or between two statements of its
  // user, would end the process. The user's next statement fails; the pool drops the connection.
  pool.on('error', (error) => options.onIdleError?.(error));
  pool.on('connect', (client) => client.on('error', () => {}));
  const db = new Kysely<DB>({ dialect: new PostgresDialect({ pool }) });
  return {
    db,
    pool,
    async close() {
      // It ends the pool only where it was used itself.
      await db.destroy();
      if (!pool.ended) await pool.end();
    },
  };
}
