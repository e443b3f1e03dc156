import { once } from 'node:events';
import type { Server } from 'node:http';
import { createAdmission } from './chat/admission.ts';
import type { Chat, ChatSettings } from './chat/chat.ts';
import { showMetrics } from './chat/show-metrics.ts';
import { drainTurns, startTurnKeeper } from './chat/turn-keeper.ts';
import { createTurnWaits } from './chat/turn-waits.ts';
import { createModel } from './clients/create-model.ts';
import type { Config } from './config.ts';
import { connect } from './db/connect.ts';
import { migrateToLatest } from './db/migrate.ts';
import { createTurnStatements } from './db/turn-statements.ts';
import { createApp } from './http/app.ts';
import { createHttpServer, listen } from './http/server.ts';
import type { Logger } from './logger.ts';
import { countText, MESSAGE_OVERHEAD_TOKENS } from './memory/count-tokens.ts';
import { RECALLED_SHARE } from './memory/assemble-context.ts';
import { FUSED_FROM } from './memory/recall/fuse.ts';
import { createRegistry, createTurnMetrics } from './metrics.ts';
import { openSummaryRequests } from './open-summaries.ts';
import { openVectorSearch } from './open-vectors.ts';

/** Statements are short and none waits for a model, so a few connections carry many turns. */
const MAX_CONNECTIONS = 16;

/** How long running turns may go on when the process is told to stop. */
const DRAIN_MS = 20_000;

/** How long their answers may take to reach the callers after that. */
const LAST_ANSWERS_MS = 2_000;

/**
 * Migrates the database, serves the API, and keeps its turns. `close` takes no new requests,
 * lets the running turns finish, and then closes what was opened, in reverse.
 */
export async function serveApi(
  config: Config,
  databaseUrl: string,
  logger: Logger,
  registry = createRegistry(),
): Promise<{ url: string; close: () => Promise<void> }> {
  const applied = await migrateToLatest(databaseUrl);
  if (applied.length > 0) logger.info({ migrations: applied }, 'database migrated');

  const { db, pool, close } = connect(databaseUrl, {
    max: MAX_CONNECTIONS,
    onIdleError: (error) => logger.warn({ err: error }, 'database connection lost'),
  });
  const model = createModel(config.model);
  const closing = new AbortController();
  const summaries = await openSummaryRequests(config, databaseUrl, {
    db,
    logger,
    closing: closing.signal,
  });
  const vectors = openVectorSearch(config, db, logger);
  const { recall } = config.chat;
  const systemPrompt = countText(config.chat.systemPrompt);
  const settings: ChatSettings = {
    ...config.chat,
    systemPrompt,
    recall: vectors && recall ? { ...recall, limit: recall.limit * FUSED_FROM } : recall,
    summaryThreshold: config.summaries.threshold,
    fixedTokens:
      systemPrompt.tokens +
      (config.chat.maxReplyTokens ?? 0) +
      (vectors ? Math.ceil(config.chat.contextTokenBudget * RECALLED_SHARE) : 0) +
      3 * MESSAGE_OVERHEAD_TOKENS,
  };
  const chat: Chat = {
    db,
    pool,
    statements: createTurnStatements(pool, settings),
    model,
    logger,
    metrics: createTurnMetrics(registry),
    admission: createAdmission(config.chat.maxConcurrentTurns),
    settings,
    summaries,
    vectors,
    running: new Map(),
    waits: createTurnWaits(db),
    closing,
  };
  const closeAll = async () => {
    await summaries.close();
    await vectors?.close();
    await model.close();
    await close();
  };

  const { host, port, apiKeys, deskApiKey } = config.server;
  const metrics = () => showMetrics(chat, registry);
  const app = createApp(chat, { apiKeys, deskApiKey, metrics });
  const server = createHttpServer(app, host);
  const url = await listen(server, host, port).catch(async (error: unknown) => {
    await closeAll();
    throw error;
  });
  const stopKeeper = startTurnKeeper(chat);

  return {
    url,
    async close() {
      const closed = once(server, 'close');
      server.close();
      await drainTurns(chat, DRAIN_MS);
      stopKeeper();
      await closeConnections(server, closed);
      await closeAll();
    },
  };
}

/** The last answers are still being written when their turns are done; what stays open is cut. */
async function closeConnections(server: Server, closed: Promise<unknown>): Promise<void> {
  const closeIdle = setInterval(() => server.closeIdleConnections(), 20);
  const cut = setTimeout(() => server.closeAllConnections(), LAST_ANSWERS_MS);
  await closed;
  clearInterval(closeIdle);
  clearTimeout(cut);
}
