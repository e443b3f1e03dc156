import { z } from 'zod';

/** An empty value in `.env` (`API_KEY=`) means "not set". */
const blankIsAbsent = (value: unknown) =>
  typeof value === 'string' && value.trim() === '' ? undefined : value;

const text = z.preprocess(blankIsAbsent, z.string().trim().optional());
const url = (protocol: RegExp, example: string) =>
  z.preprocess(
    blankIsAbsent,
    z.url({ protocol, error: `must be a URL like ${example}` }).optional(),
  );
const port = z.preprocess(
  blankIsAbsent,
  z.coerce
    .number({ error: 'must be a port number' })
    .int('must be a port number')
    .min(0, 'must be at least 0')
    .max(65_535, 'must be at most 65535')
    .optional(),
);
const integer = (fallback: number, min: number, max: number) =>
  z.preprocess(
    blankIsAbsent,
    z.coerce
      .number({ error: 'must be a whole number' })
      .int('must be a whole number')
      .min(min, `must be at least ${min}`)
      .max(max, `must be at most ${max}`)
      .default(fallback),
  );
const list = z.preprocess(
  blankIsAbsent,
  z
    .string()
    .default('')
    .transform((value) =>
      value
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== ''),
    ),
);

/** Every variable the backend reads. `.env.example` lists the same ones; a test holds the two together. */
export const Environment = z.object({
  PORT: integer(8080, 0, 65_535),
  HOST: z.preprocess(blankIsAbsent, z.string().trim().default('127.0.0.1')),
  API_KEY: list,
  DESK_API_KEY: text,
  DATA_DIR: z.preprocess(blankIsAbsent, z.string().trim().default('.data')),
  DATABASE_URL: url(/^postgres(ql)?$/, 'postgres://user:password@host:5432/name'),
  BOT_TOKEN: text,
  ADMIN_PANEL: z.preprocess(
    blankIsAbsent,
    z.enum(['on', 'off'], { error: 'must be on or off' }).default('on'),
  ),
  ADMIN_PORT: integer(8055, 1, 65_535),
  LOG_LEVEL: z.preprocess(
    blankIsAbsent,
    z
      .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], {
        error: 'must be one of trace, debug, info, warn, error, fatal, silent',
      })
      .default('info'),
  ),
  OPENROUTER_API_KEY: text,
  OPENROUTER_MODEL: z.preprocess(
    blankIsAbsent,
    z.string().trim().default('google/gemini-2.5-flash'),
  ),
  LLM_BASE_URL: url(/^https?$/, 'http://127.0.0.1:11434/v1'),
  LLM_API_KEY: text,
  LLM_MODEL: text,
  LLM_FALLBACK_MODELS: list,
  LLM_TIMEOUT_MS: integer(60_000, 100, 600_000),
  SYSTEM_PROMPT: z.preprocess(
    blankIsAbsent,
    z
      .string()
      .default('You are a helpful assistant in a chat. Answer in the language of the user.'),
  ),
  LLM_MAX_TOKENS: integer(0, 0, 1_000_000),
  ACCESS: z.preprocess(
    blankIsAbsent,
    z
      .enum(['open', 'allowlist', 'pairing'], { error: 'must be open, allowlist or pairing' })
      .default('open'),
  ),
  ALLOWED_USERS: list,
  ALLOWED_CHATS: list,
  RATE_LIMIT_PER_MINUTE: integer(0, 0, 100_000),
  CHAT_RATE_LIMIT_PER_MINUTE: integer(0, 0, 100_000),
  DAILY_TOKEN_BUDGET: integer(0, 0, 2_000_000_000),
  MAX_CONCURRENT_TURNS: integer(256, 1, 100_000),
  SHORT_HISTORY_LIMIT: integer(8, 1, 1_000),
  CONTEXT_TOKEN_BUDGET: integer(16_000, 100, 10_000_000),
  RAG_ENABLED: z.preprocess(
    blankIsAbsent,
    z.stringbool({ error: 'must be true or false' }).default(true),
  ),
  RECALL_LIMIT: integer(8, 1, 100),
  RECALL_SCOPE: z.preprocess(
    blankIsAbsent,
    z
      .enum(['session', 'chat', 'user'], { error: 'must be one of session, chat, user' })
      .default('chat'),
  ),
  QDRANT_URL: url(/^https?$/, 'http://127.0.0.1:6333'),
  QDRANT_API_KEY: text,
  OPENAI_API_KEY: text,
  OPENAI_EMBEDDING_MODEL: z.preprocess(
    blankIsAbsent,
    z.string().trim().default('text-embedding-3-small'),
  ),
  EMBEDDINGS_BASE_URL: url(/^https?$/, 'http://127.0.0.1:7998'),
  EMBEDDINGS_API_KEY: text,
  EMBEDDINGS_MODEL: text,
  RECALL_TIMEOUT_MS: integer(1_000, 10, 60_000),
  SUMMARY_MODE: z.preprocess(
    blankIsAbsent,
    z
      .enum(['queue', 'inline', 'off'], { error: 'must be one of queue, inline, off' })
      .default('queue'),
  ),
  SUMMARY_THRESHOLD: integer(24, 2, 10_000),
  SUMMARY_NEW_MESSAGES_LIMIT: integer(200, 1, 10_000),
  SUMMARY_MAX_TOKENS: integer(1_000, 50, 100_000),
  SUMMARY_MODEL: text,
  SUMMARY_IDLE_MINUTES: integer(60, 0, 525_600),
  SUMMARY_SWEEP_SECONDS: integer(30, 1, 3_600),
  REDIS_URL: url(/^rediss?$/, 'redis://host:6379'),
  WORKER_METRICS_PORT: port,
});

type Environment = z.infer<typeof Environment>;

/** Which model answers. `offline` is chosen by the absence of any key or base URL. */
export type ModelConfig =
  | { kind: 'offline' }
  | {
      kind: 'openai';
      baseUrl: string;
      apiKey: string | undefined;
      /** Tried in order; the first is the one configured, the rest are the fallbacks. */
      models: [string, ...string[]];
      timeoutMs: number;
    };

export interface Config {
  server: {
    host: string;
    port: number;
    apiKeys: string[];
    /** The operators' panel's own; it opens what operators do there, and nothing else. */
    deskApiKey: string | undefined;
  };
  /** `undefined`: run the embedded PostgreSQL in `dataDir`. */
  databaseUrl: string | undefined;
  dataDir: string;
  logLevel: string;
  /** Where `start` brings the operators' panel up; undefined: it does not. */
  panelPort: number | undefined;
  /** `start` runs the Telegram bot too. */
  hasTelegramBot: boolean;
  model: ModelConfig;
  chat: {
    systemPrompt: string;
    /** Messages. */
    shortHistoryLimit: number;
    /** Estimated tokens of a prompt. */
    contextTokenBudget: number;
    /** Tokens of a reply; undefined is the provider's own limit. */
    maxReplyTokens: number | undefined;
    access: 'open' | 'allowlist' | 'pairing';
    allowedUsers: Set<string>;
    allowedChats: Set<string>;
    /** Messages of one user; 0 is no limit. */
    ratePerMinute: number;
    /** Messages of one chat; 0 is no limit. */
    chatRatePerMinute: number;
    /** Tokens of one user; 0 is no limit. */
    dailyTokenBudget: number;
    /** Of this process; what comes beyond is asked to come back. */
    maxConcurrentTurns: number;
    /** Where a turn looks for memories, and how many it takes; undefined: it does not. */
    recall: { scope: 'session' | 'chat' | 'user'; limit: number } | undefined;
  };
  /** `undefined`: memories are found by their words alone. */
  vectors: VectorConfig | undefined;
  summaries: SummaryConfig;
  /** `undefined`: the queue lives in PostgreSQL. */
  redisUrl: string | undefined;
  /** Where a worker of its own shows its metrics; undefined: nowhere. */
  workerMetricsPort: number | undefined;
}

export interface VectorConfig {
  store: { url: string; apiKey: string | undefined };
  embeddings: { baseUrl: string; apiKey: string | undefined; model: string };
  /** What a turn gives one search of them, milliseconds. */
  timeoutMs: number;
}

export interface SummaryConfig {
  mode: 'queue' | 'inline' | 'off';
  model: ModelConfig;
  /** New messages after which a summary is written. */
  threshold: number;
  /** New messages that one version takes at most. */
  newMessagesLimit: number;
  /** Tokens of one summary. */
  maxTokens: number;
  /** Estimated tokens of the messages that one version takes. */
  newTokensLimit: number;
  /** 0: a session's idleness leads to no summary. */
  idleMinutes: number;
  sweepSeconds: number;
}

/** The configuration cannot be used. `message` lists every problem, one a line, by variable name. */
export class ConfigError extends Error {
  constructor(problems: string[]) {
    super(`The configuration cannot be used:\n${problems.map((line) => `  ${line}`).join('\n')}`);
    this.name = 'ConfigError';
  }
}

/** Reads and checks the whole environment once. Throws {@link ConfigError} with every problem at once. */
export function loadConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const parsed = Environment.safeParse(environment);
  if (!parsed.success) {
    throw new ConfigError(
      parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`),
    );
  }
  const env = parsed.data;
  const problems = crossChecks(env);
  if (problems.length > 0) throw new ConfigError(problems);
  return {
    server: {
      host: env.HOST,
      port: env.PORT,
      apiKeys: env.API_KEY,
      deskApiKey: env.DESK_API_KEY,
    },
    databaseUrl: env.DATABASE_URL,
    dataDir: env.DATA_DIR,
    logLevel: env.LOG_LEVEL,
    panelPort: env.ADMIN_PANEL === 'on' ? env.ADMIN_PORT : undefined,
    hasTelegramBot: env.BOT_TOKEN !== undefined,
    model: modelConfig(env),
    chat: {
      maxReplyTokens: maxReplyTokens(env),
      access: env.ACCESS,
      allowedUsers: new Set(env.ALLOWED_USERS),
      allowedChats: new Set(env.ALLOWED_CHATS),
      ratePerMinute: env.RATE_LIMIT_PER_MINUTE,
      chatRatePerMinute: env.CHAT_RATE_LIMIT_PER_MINUTE,
      dailyTokenBudget: env.DAILY_TOKEN_BUDGET,
      maxConcurrentTurns: env.MAX_CONCURRENT_TURNS,
      systemPrompt: env.SYSTEM_PROMPT,
      shortHistoryLimit: env.SHORT_HISTORY_LIMIT,
      contextTokenBudget: env.CONTEXT_TOKEN_BUDGET,
      recall: env.RAG_ENABLED ? { scope: env.RECALL_SCOPE, limit: env.RECALL_LIMIT } : undefined,
    },
    vectors: vectorConfig(env),
    summaries: summaryConfig(env),
    redisUrl: env.REDIS_URL,
    workerMetricsPort: env.WORKER_METRICS_PORT,
  };
}

/** Where this machine's programs are looked for. */
export function executablePath(): string | undefined {
  return process.env['PATH'];
}

/** The environment for a process that we start, with some variables of its own. */
export function environmentWith(variables: Record<string, string>): NodeJS.ProcessEnv {
  return { ...process.env, ...variables };
}

/** Addresses that only this machine can reach: the only ones served without an `API_KEY`. */
function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

function crossChecks(env: Environment): string[] {
  const problems: string[] = [];
  if (env.API_KEY.length === 0 && !isLoopback(env.HOST)) {
    problems.push(
      `HOST: ${env.HOST} can be reached from other machines; set API_KEY to a secret of your own, or HOST to 127.0.0.1`,
    );
  }
  if (env.DESK_API_KEY !== undefined && env.API_KEY.includes(env.DESK_API_KEY)) {
    problems.push('DESK_API_KEY: must not be one of API_KEY; it opens less than they do');
  }
  if (env.LLM_BASE_URL !== undefined && env.LLM_MODEL === undefined) {
    problems.push('LLM_MODEL: must name the model that LLM_BASE_URL serves');
  }
  if (env.LLM_BASE_URL === undefined && env.LLM_API_KEY !== undefined) {
    problems.push(
      'LLM_BASE_URL: must be set with LLM_API_KEY, for example https://api.openai.com/v1',
    );
  }
  if (env.EMBEDDINGS_BASE_URL !== undefined && env.EMBEDDINGS_MODEL === undefined) {
    problems.push('EMBEDDINGS_MODEL: must name the model that EMBEDDINGS_BASE_URL serves');
  }
  if (
    env.QDRANT_URL !== undefined &&
    env.RAG_ENABLED &&
    env.OPENAI_API_KEY === undefined &&
    env.EMBEDDINGS_BASE_URL === undefined
  ) {
    problems.push(
      'QDRANT_URL: must come with embeddings; set OPENAI_API_KEY, or EMBEDDINGS_BASE_URL and EMBEDDINGS_MODEL',
    );
  }
  if (env.SUMMARY_MODEL !== undefined && modelConfig(env).kind === 'offline') {
    problems.push(
      'SUMMARY_MODEL: needs a server that has it; set OPENROUTER_API_KEY, or LLM_BASE_URL and LLM_MODEL',
    );
  }
  return problems;
}

function vectorConfig(env: Environment): VectorConfig | undefined {
  if (env.QDRANT_URL === undefined || !env.RAG_ENABLED) return undefined;
  const own =
    env.EMBEDDINGS_BASE_URL !== undefined && env.EMBEDDINGS_MODEL !== undefined
      ? {
          baseUrl: env.EMBEDDINGS_BASE_URL,
          apiKey: env.EMBEDDINGS_API_KEY,
          model: env.EMBEDDINGS_MODEL,
        }
      : undefined;
  return {
    store: { url: env.QDRANT_URL, apiKey: env.QDRANT_API_KEY },
    embeddings: own ?? {
      baseUrl: 'https://api.openai.com/v1',
      apiKey: env.OPENAI_API_KEY,
      model: env.OPENAI_EMBEDDING_MODEL,
    },
    timeoutMs: env.RECALL_TIMEOUT_MS,
  };
}

/** A budget can only be kept where a reply has a known longest length. */
const MAX_REPLY_TOKENS_WITH_BUDGET = 2_048;

function maxReplyTokens(env: Environment): number | undefined {
  if (env.LLM_MAX_TOKENS > 0) return env.LLM_MAX_TOKENS;
  return env.DAILY_TOKEN_BUDGET > 0 ? MAX_REPLY_TOKENS_WITH_BUDGET : undefined;
}

/** What a prompt for a summary holds beside the messages: its instruction and two summaries, old and new. */
const SUMMARY_INSTRUCTION_TOKENS = 500;
const LEAST_NEW_TOKENS = 1_000;

function summaryConfig(env: Environment): SummaryConfig {
  const model = modelConfig(env);
  // The summary stands in every prompt: it may take a quarter of it.
  const maxTokens = Math.min(env.SUMMARY_MAX_TOKENS, Math.floor(env.CONTEXT_TOKEN_BUDGET / 4));
  return {
    mode: env.SUMMARY_MODE,
    model:
      model.kind === 'openai' && env.SUMMARY_MODEL !== undefined
        ? { ...model, models: [env.SUMMARY_MODEL, ...env.LLM_FALLBACK_MODELS] }
        : model,
    threshold: env.SUMMARY_THRESHOLD,
    newMessagesLimit: env.SUMMARY_NEW_MESSAGES_LIMIT,
    maxTokens,
    newTokensLimit: Math.max(
      LEAST_NEW_TOKENS,
      env.CONTEXT_TOKEN_BUDGET - 2 * maxTokens - SUMMARY_INSTRUCTION_TOKENS,
    ),
    idleMinutes: env.SUMMARY_IDLE_MINUTES,
    sweepSeconds: env.SUMMARY_SWEEP_SECONDS,
  };
}

function modelConfig(env: Environment): ModelConfig {
  const rest = env.LLM_FALLBACK_MODELS;
  if (env.LLM_BASE_URL !== undefined && env.LLM_MODEL !== undefined) {
    return {
      kind: 'openai',
      baseUrl: env.LLM_BASE_URL,
      apiKey: env.LLM_API_KEY,
      models: [env.LLM_MODEL, ...rest],
      timeoutMs: env.LLM_TIMEOUT_MS,
    };
  }
  if (env.OPENROUTER_API_KEY !== undefined) {
    return {
      kind: 'openai',
      baseUrl: 'https://openrouter.ai/api/v1',
      apiKey: env.OPENROUTER_API_KEY,
      models: [env.OPENROUTER_MODEL, ...rest],
      timeoutMs: env.LLM_TIMEOUT_MS,
    };
  }
  return { kind: 'offline' };
}
