import { Pool } from 'pg';
import { loadConfig } from '#src/config.ts';
import { createLogger } from '#src/logger.ts';
import { serveApi } from '#src/serve-api.ts';
import { serveWorker } from '#src/serve-worker.ts';
import { createTestDatabase } from './database.ts';

export interface ServedChats {
  /** What the processes are configured with, for others beside them. */
  environment: Record<string, string>;
  databaseUrl: string;
  apiUrl: string;
  /** Rejects with the status where it is not 200. */
  post(path: string, body: object): Promise<Record<string, unknown>>;
  get(path: string): Promise<Record<string, unknown>>;
  say(chat: string, text: string, messageId?: string): Promise<Record<string, unknown>>;
  sql<Row extends object>(text: string, values?: unknown[]): Promise<Row[]>;
  startWorker(changes?: Record<string, string>): Promise<{ close: () => Promise<void> }>;
  close(): Promise<void>;
}

/** The API on a database of its own, with workers as they are asked for. */
export async function serveChats(changes: Record<string, string>): Promise<ServedChats> {
  const database = await createTestDatabase();
  const environment = {
    LOG_LEVEL: 'silent',
    PORT: '0',
    SUMMARY_SWEEP_SECONDS: '1',
    // Summaries are looked at here; what is recalled would put other messages' words into a prompt.
    RAG_ENABLED: 'false',
    ...changes,
  };
  const config = loadConfig(environment);
  const logger = createLogger(config.logLevel);
  const api = await serveApi(config, database.url, logger);
  const pool = new Pool({ connectionString: database.url, max: 4 });
  pool.on('error', () => {});
  const workers: { close: () => Promise<void> }[] = [];

  async function request(path: string, init?: RequestInit): Promise<Record<string, unknown>> {
    const response = await fetch(`${api.url}${path}`, init);
    const body: unknown = await response.json();
    if (!response.ok) throw new Error(`${response.status} ${JSON.stringify(body)}`);
    return Object(body);
  }
  const post = (path: string, body: object) =>
    request(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  return {
    environment,
    databaseUrl: database.url,
    apiUrl: api.url,
    post,
    get: (path) => request(path),
    say: (chat, text, messageId) =>
      post('/v1/chat/handle', { user_id: 'user', chat_id: chat, text, message_id: messageId }),
    sql: async (text, values) => (await pool.query(text, values)).rows,
    async startWorker(more = {}) {
      const worker = await serveWorker(
        loadConfig({ ...environment, ...more }),
        database.url,
        logger,
      );
      workers.push(worker);
      return worker;
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.close()));
      await api.close();
      await pool.end();
      await database.drop();
    },
  };
}

/** What must hold of all summaries at any time; returns the sessions where it does not. */
export const brokenSessions = `
  select s.id, s.messages_since_summary,
    (select count(*)::integer from messages m
      where m.session_id = s.id and m.id > latest_watermark(s.id)) as counted
  from chat_sessions s
  where s.messages_since_summary <> (select count(*) from messages m
      where m.session_id = s.id and m.id > latest_watermark(s.id))
    or exists (select from (
        select version, last_message_id, row_number() over (order by version) as expected,
          lag(last_message_id, 1, 0) over (order by version) as before
        from conversation_summaries where session_id = s.id) as v
      where version <> expected or last_message_id <= before)`;

/** Waits until `check` resolves with true; fails after `seconds` with what `describe` says. */
export async function eventually(
  check: () => Promise<boolean>,
  seconds: number,
  describe: () => Promise<unknown> = async () => 'it did not come true',
): Promise<void> {
  const end = Date.now() + seconds * 1_000;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(JSON.stringify(await describe()));
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
  }
}
