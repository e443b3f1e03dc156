import { z } from 'zod';
import { createModel } from './clients/create-model.ts';
import { loadConfig } from './config.ts';
import { connect } from './db/connect.ts';
import { migrateToLatest } from './db/migrate.ts';
import { AppError } from './errors.ts';
import { openDatabase } from './local/open-database.ts';
import { createLogger } from './logger.ts';
import { rebuildSummary } from './memory/rebuild-summary.ts';
import { runEntry } from './run-entry.ts';
import { StartError } from './start-error.ts';

/** `pnpm summaries:rebuild <session>`: writes a session's summary anew, as a further version. */
await runEntry(async () => {
  const sessionId = z.uuid().safeParse(process.argv[2]);
  if (!sessionId.success) {
    throw new StartError(
      'Usage: pnpm summaries:rebuild <session>, where <session> is an id (a UUID) from chat_sessions.',
    );
  }
  const config = loadConfig();
  const database = await openDatabase(config);
  const { db, close } = connect(database.url, { max: 2 });
  const model = createModel(config.summaries.model);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());
  try {
    await migrateToLatest(database.url);
    const rebuilt = await rebuildSummary(
      { db, model, logger: createLogger('silent'), settings: config.summaries },
      sessionId.data,
      (messages) => console.log(`${messages} messages summarised`),
      stop.signal,
    );
    console.log(
      rebuilt === undefined
        ? 'There is nothing to summarise: no message of this session was answered.'
        : `Version ${rebuilt.version} is written; it covers ${rebuilt.messages} messages. Earlier versions are kept.`,
    );
  } catch (error) {
    if (stop.signal.aborted) throw new StartError('Stopped; nothing was stored.');
    if (error instanceof AppError) throw new StartError(error.message, { cause: error });
    throw error;
  } finally {
    await model.close();
    await close();
    await database.stop();
  }
});
