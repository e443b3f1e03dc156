import type { Config, ModelConfig } from '../config.ts';

/** What is known once everything runs. */
export interface Running {
  apiUrl: string;
  /** The embedded PostgreSQL's files; undefined where `databaseUrl` is configured. */
  databaseFolder: string | undefined;
  /** Where the log goes, where it is not stdout. */
  logFile: string | undefined;
}

/** The text a newcomer sees after `pnpm start`: where to go, what answers, and where the data is. */
export function banner(config: Config, running: Running): string {
  const rows = [
    ['Chat page', `${running.apiUrl}/`],
    ['API', `${running.apiUrl}/v1, described in ${running.apiUrl}/openapi.json`],
    ['Model', ...model(config.model)],
    ['Database', database(config, running)],
    ['Queue', queue(config)],
    ['Recall', recall(config)],
    ['Panel', panel(config)],
    ['Telegram', config.hasTelegramBot ? 'the bot runs' : 'no bot; set BOT_TOKEN for one'],
    ...(running.logFile === undefined ? [] : [['Log', running.logFile]]),
  ];
  const lines = rows.map(([name = '', ...values]) => `  ${name.padEnd(11)}${values.join(indent)}`);
  return `\n  LLM Bot Core is running. Ctrl-C stops it.\n\n${lines.join('\n')}\n\n`;
}

const indent = `\n${' '.repeat(13)}`;

function panel({ panelPort }: Config): string {
  if (panelPort === undefined) return 'none, because ADMIN_PANEL is off';
  return `http://127.0.0.1:${panelPort}/ in a moment, for operators`;
}

function database({ databaseUrl }: Config, { databaseFolder }: Running): string {
  if (databaseUrl === undefined)
    return `embedded PostgreSQL 18, its data in ${databaseFolder}; another with DATABASE_URL`;
  const { host, pathname } = new URL(databaseUrl);
  return `PostgreSQL at ${host}${pathname}`;
}

function recall({ chat, vectors }: Config): string {
  if (chat.recall === undefined) return 'off, because RAG_ENABLED is false';
  if (vectors === undefined) return 'by words, in PostgreSQL';
  const { store, embeddings } = vectors;
  return `by words, and by sense: Qdrant at ${new URL(store.url).host}, ${embeddings.model} at ${new URL(embeddings.baseUrl).host}`;
}

function queue({ summaries, chat, redisUrl }: Config): string {
  if (summaries.mode !== 'queue' && chat.recall === undefined) {
    return `none, because SUMMARY_MODE is ${summaries.mode} and RAG_ENABLED is false`;
  }
  if (redisUrl === undefined) return 'in PostgreSQL; on Redis with REDIS_URL';
  return `Redis at ${new URL(redisUrl).host}`;
}

function model(config: ModelConfig): string[] {
  if (config.kind === 'offline') {
    return [
      'offline, quotes what it remembers; for real answers put into .env:',
      'OPENROUTER_API_KEY, or LLM_BASE_URL and LLM_MODEL',
    ];
  }
  return [`${config.models.join(', then ')} at ${new URL(config.baseUrl).host}`];
}
