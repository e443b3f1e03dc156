import { z } from 'zod';

/** An empty value in `.env` (`ADMIN_EMAIL=`) means "not set". */
const blankIsAbsent = (value: unknown) =>
  typeof value === 'string' && value.trim() === '' ? undefined : value;
const optional = <Schema extends z.ZodType>(schema: Schema) => z.preprocess(blankIsAbsent, schema);

const text = optional(z.string().trim().optional());
const integer = (fallback: number, min: number, max: number) =>
  optional(
    z.coerce
      .number({ error: 'must be a whole number' })
      .int('must be a whole number')
      .min(min, `must be at least ${min}`)
      .max(max, `must be at most ${max}`)
      .default(fallback),
  );
const url = (protocol: RegExp, example: string) =>
  z.url({ protocol, error: `must be a URL like ${example}` });
const webUrl = (example: string) =>
  url(/^https?$/, example).transform((value) => value.replace(/\/+$/, ''));

/** Every variable the panel reads. */
export const Environment = z.object({
  DATABASE_URL: optional(
    z
      .string({
        error: 'must be set: the PostgreSQL that the API uses, as a role that may create roles',
      })
      .pipe(url(/^postgres(ql)?$/, 'postgres://user:password@host:5432/name')),
  ),
  DATA_DIR: optional(z.string().trim().default('.data')),
  BACKEND_URL: optional(webUrl('http://127.0.0.1:8080').default('http://127.0.0.1:8080')),
  DESK_API_KEY: text,
  ADMIN_HOST: optional(z.string().trim().default('127.0.0.1')),
  ADMIN_PORT: integer(8055, 1, 65_535),
  ADMIN_URL: optional(webUrl('https://panel.example.com').optional()),
  ADMIN_EMAIL: optional(
    z.email('must be an e-mail address like you@example.com').default('admin@example.com'),
  ),
  ADMIN_PASSWORD: optional(z.string().min(8, 'must have at least 8 characters').optional()),
  ADMIN_USAGE: optional(
    z
      .enum(['personal', 'commercial', 'community'], {
        error: 'must be personal, commercial or community',
      })
      .default('community'),
  ),
  SUMMARY_THRESHOLD: integer(24, 2, 10_000),
});

export interface Config {
  /** As the owner of the tables; Directus itself never sees it. */
  databaseUrl: string;
  dataDir: string;
  backend: { url: string; key: string | undefined };
  host: string;
  port: number;
  /** Where a browser finds the panel. */
  publicUrl: string;
  admin: { email: string; password: string | undefined };
  /** What the deployer declares to Directus that the panel is used for. */
  usage: 'personal' | 'commercial' | 'community';
  /** New messages after which a summary is due. */
  summaryThreshold: number;
}

/** The panel cannot run. `message` says what is wrong, where, and what to do. */
export class PanelError extends Error {
  constructor(message: string, options?: { cause: unknown }) {
    super(message, options);
    this.name = 'PanelError';
  }
}

/** Reads and checks the whole environment once. Throws {@link PanelError} with every problem at once. */
export function loadConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const parsed = Environment.safeParse(environment);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      (issue) => `\n  ${issue.path.join('.')}: ${issue.message}`,
    );
    throw new PanelError(`The panel's configuration cannot be used:${problems.join('')}`);
  }
  const env = parsed.data;
  return {
    databaseUrl: env.DATABASE_URL,
    dataDir: env.DATA_DIR,
    backend: { url: env.BACKEND_URL, key: env.DESK_API_KEY },
    host: env.ADMIN_HOST,
    port: env.ADMIN_PORT,
    publicUrl: env.ADMIN_URL ?? `http://127.0.0.1:${env.ADMIN_PORT}`,
    admin: { email: env.ADMIN_EMAIL, password: env.ADMIN_PASSWORD },
    usage: env.ADMIN_USAGE,
    summaryThreshold: env.SUMMARY_THRESHOLD,
  };
}

/** What a process of ours needs from the environment to run at all, and nothing that is secret. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const names = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'SystemRoot'];
  return Object.fromEntries(names.map((name) => [name, process.env[name]]));
}
