import { z } from 'zod';

/** An empty value in `.env` (`WEBHOOK_URL=`) means "not set". */
const blankIsAbsent = (value: unknown) =>
  typeof value === 'string' && value.trim() === '' ? undefined : value;

const url = (protocol: RegExp, example: string) =>
  z.preprocess(
    blankIsAbsent,
    z
      .url({ protocol, error: `must be a URL like ${example}` })
      .transform((value) => value.replace(/\/+$/, ''))
      .optional(),
  );
const text = z.preprocess(blankIsAbsent, z.string().trim().optional());

/** Every variable the bot reads. */
export const Environment = z.object({
  BOT_TOKEN: z.preprocess(
    blankIsAbsent,
    z
      .string({ error: 'must be set: the token that @BotFather gave you' })
      .trim()
      .regex(/^\d+:[\w-]+$/, 'must look like 123456:ABC-DEF, as @BotFather gives it'),
  ),
  BACKEND_URL: url(/^https?$/, 'http://127.0.0.1:8080'),
  BACKEND_API_KEY: text,
  TELEGRAM_API_ROOT: url(/^https?$/, 'https://api.telegram.org'),
  TELEGRAM_DRAFTS: z.preprocess(
    blankIsAbsent,
    z
      .enum(['true', 'false'], { error: 'must be true or false' })
      .default('false')
      .transform((value) => value === 'true'),
  ),
  WEBHOOK_URL: url(/^https?$/, 'https://bot.example.com/telegram'),
  WEBHOOK_SECRET: z.preprocess(
    blankIsAbsent,
    z
      .string()
      .regex(/^[\w-]{16,256}$/, 'must be 16 to 256 letters, digits, _ or -')
      .optional(),
  ),
  WEBHOOK_PORT: z.preprocess(
    blankIsAbsent,
    z.coerce
      .number({ error: 'must be a port number' })
      .int('must be a port number')
      .min(0, 'must be at least 0')
      .max(65_535, 'must be at most 65535')
      .default(8081),
  ),
  LOG_LEVEL: z.preprocess(
    blankIsAbsent,
    z
      .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], {
        error: 'must be one of trace, debug, info, warn, error, fatal, silent',
      })
      .default('info'),
  ),
});

/** How updates come: the bot asks for them, or Telegram calls. */
export type UpdatesConfig =
  | { kind: 'polling' }
  | { kind: 'webhook'; url: string; secret: string; port: number };

export interface Config {
  token: string;
  telegramApiRoot: string;
  backend: { url: string; apiKey: string | undefined };
  updates: UpdatesConfig;
  drafts: boolean;
  logLevel: string;
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
  return {
    token: env.BOT_TOKEN,
    telegramApiRoot: env.TELEGRAM_API_ROOT ?? 'https://api.telegram.org',
    backend: { url: env.BACKEND_URL ?? 'http://127.0.0.1:8080', apiKey: env.BACKEND_API_KEY },
    updates: updatesConfig(env),
    drafts: env.TELEGRAM_DRAFTS,
    logLevel: env.LOG_LEVEL,
  };
}

function updatesConfig(env: z.infer<typeof Environment>): UpdatesConfig {
  if (env.WEBHOOK_URL === undefined) return { kind: 'polling' };
  if (env.WEBHOOK_SECRET === undefined) {
    throw new ConfigError([
      'WEBHOOK_SECRET: must be set with WEBHOOK_URL; without it anyone could send the bot updates',
    ]);
  }
  return {
    kind: 'webhook',
    url: env.WEBHOOK_URL,
    secret: env.WEBHOOK_SECRET,
    port: env.WEBHOOK_PORT,
  };
}
