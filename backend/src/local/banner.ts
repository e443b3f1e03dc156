import type { Config, ModelConfig } from '../config.ts';

/** What is known once everything runs. */
export interface Running {
  apiUrl: string;
  /** The embedded PostgreSQL's files; undefined where `databaseUrl` is configured. */
  databaseFolder: string | undefined;
  /** Where the log goes, where it is not stdout. */
  logFile: string | undefined;
  dataFolder: string;
}

/** The text a newcomer sees after `pnpm start`: what runs on what, where it is, and what to set instead. */
export function banner(config: Config, running: Running): string {
  const rows: [name: string, value: string, hint?: string][] = [
    ['API', running.apiUrl],
    ['Database', database(config, running), config.databaseUrl ? undefined : 'DATABASE_URL'],
    queue(config),
    ['Recall', 'off'],
    [
      'Model',
      model(config.model),
      config.model.kind === 'offline'
        ? 'OPENROUTER_API_KEY, or LLM_BASE_URL and LLM_MODEL'
        : undefined,
    ],
    ['Data folder', running.dataFolder, 'DATA_DIR'],
  ];
  if (running.logFile !== undefined) rows.push(['Log', running.logFile]);
  const lines = rows.map(([name, value, hint]) => {
    const change = hint === undefined ? '' : `  (to change it, set ${hint})`;
    return `  ${name.padEnd(13)}${value}${change}`;
  });
  return `\nLLM Bot Core is running. Ctrl-C stops it.\n\n${lines.join('\n')}\n\n`;
}

function database({ databaseUrl }: Config, { databaseFolder }: Running): string {
  if (databaseUrl === undefined) return `embedded PostgreSQL 18 in ${databaseFolder}`;
  const { host, pathname } = new URL(databaseUrl);
  return `PostgreSQL at ${host}${pathname}`;
}

function queue({ summaries, redisUrl }: Config): [name: string, value: string, hint?: string] {
  if (summaries.mode !== 'queue') return ['Queue', `none (SUMMARY_MODE is ${summaries.mode})`];
  if (redisUrl === undefined) return ['Queue', 'in PostgreSQL', 'REDIS_URL'];
  return ['Queue', `Redis at ${new URL(redisUrl).host}`];
}

function model(config: ModelConfig): string {
  if (config.kind === 'offline') return 'offline, quotes what it remembers';
  return `${config.models.join(', then ')} at ${new URL(config.baseUrl).host}`;
}
