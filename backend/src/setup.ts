import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { parseEnv } from 'node:util';
import { runEntry } from './run-entry.ts';
import { StartError } from './start-error.ts';

const beginning = `# Every other setting and its default is in .env.example.

# What @BotFather gave you.
BOT_TOKEN=
# For real answers. Without a model the replies only quote what is remembered.
OPENROUTER_API_KEY=

# Secrets of this installation. The database keeps the password that it was made with.
`;

/** `pnpm setup`: writes `.env` with strong secrets of its own. One that is there stays as it is. */
await runEntry(async () => {
  const secrets = newSecrets();
  const lines = Object.entries(secrets).map(([name, value]) => `${name}=${value}\n`);
  try {
    await writeFile('.env', `${beginning}${lines.join('')}`, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    return await checkExisting(secrets);
  }
  console.log(
    'Wrote .env with new secrets, readable by you alone. Put BOT_TOKEN and a model key into it.',
  );
});

/** Letters and digits alone, so that they stand in a URL, a shell and a header as they are. */
function newSecrets(): Record<string, string> {
  const key = newSecret();
  return {
    POSTGRES_PASSWORD: newSecret(),
    REDIS_PASSWORD: newSecret(),
    API_KEY: key,
    BACKEND_API_KEY: key,
    DESK_API_KEY: newSecret(),
    ADMIN_PASSWORD: newSecret(),
    QDRANT_API_KEY: newSecret(),
    WEBHOOK_SECRET: newSecret(),
  };
}

function newSecret(): string {
  return randomBytes(32).toString('hex');
}

async function checkExisting(secrets: Record<string, string>): Promise<void> {
  const existing = parseEnv(await readFile('.env', 'utf8'));
  const missing = Object.keys(secrets).filter((name) => (existing[name] ?? '') === '');
  console.log('.env is there already; nothing in it was changed.');
  if (missing.length === 0) return;
  throw new StartError(
    `It has no ${missing.join(', ')}. Add them, each with a secret of its own (openssl rand -hex 32); BACKEND_API_KEY is one of API_KEY.`,
  );
}
