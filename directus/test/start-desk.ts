import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../backend/src/config.ts';
import { freePort } from '../../backend/src/local/free-port.ts';
import { createLogger } from '../../backend/src/logger.ts';
import { createRegistry } from '../../backend/src/metrics.ts';
import { serveWorker } from '../../backend/src/serve-worker.ts';
import { clientOf, openSql, startApi } from '../../backend/test/api.ts';
import type { ApiClient, Sql } from '../../backend/test/api.ts';
import { startFakeModel } from '../../backend/test/fake-model.ts';
import type { FakeModel } from '../../backend/test/fake-model.ts';
import { startPostgres } from '../../backend/test/postgres-server.ts';
import { downgrade, startInTerminal } from './panel-process.ts';

export const password = 'Correct-horse-1';
export const people = {
  Administrator: 'admin@example.com',
  Operator: 'operator@example.com',
  Viewer: 'viewer@example.com',
} as const;
export type RoleName = keyof typeof people;

/** The real backend, with a worker and a model that records, and the panel over the same database. */
export interface Desk {
  api: ApiClient;
  model: FakeModel;
  sql: Sql;
  /** Where the panel is. */
  url: string;
  /** Directus' REST API with the rights of a role. */
  as(role: RoleName): ApiClient;
  /** Runs `pnpm admin:provision` and resolves with what it prints. */
  provision(...options: string[]): Promise<string>;
  stopBackend(): Promise<void>;
  /** Ctrl-C in the panel's terminal. Resolves with its exit code, and what still runs on its folder. */
  stopPanel(): Promise<{ code: number | null; left: number[] }>;
  /** Resolves with what it printed until it was ready. */
  startPanel(): Promise<string>;
  /** Takes the panel's own tables back to what the version before had, while it is stopped. */
  downgradePanel(): Promise<void>;
  close(): Promise<void>;
}

const source = join(import.meta.dirname, '..', 'src');
const deskKey = 'the key of the desk';

export async function startDesk(changes: Record<string, string> = {}): Promise<Desk> {
  const [postgres, model, dataDir, port] = await Promise.all([
    startPostgres(),
    startFakeModel(),
    mkdtemp(join(tmpdir(), 'llm-bot-core-desk-')),
    freePort(),
  ]);
  const env = {
    API_KEY: 'the key of all',
    DESK_API_KEY: deskKey,
    SUMMARY_THRESHOLD: '6',
    SHORT_HISTORY_LIMIT: '2',
    SUMMARY_SWEEP_SECONDS: '1',
    ...changes,
  };
  const served = await startApi({ databaseUrl: postgres.url, modelUrl: model.url, env });
  const logger = createLogger('silent');
  const workerEnv = { ...env, LLM_BASE_URL: model.url, LLM_MODEL: 'fake' };
  const worker = await serveWorker(loadConfig(workerEnv), postgres.url, logger, createRegistry());
  const panelEnv = {
    PATH: process.env.PATH,
    DATABASE_URL: postgres.url,
    DATA_DIR: dataDir,
    BACKEND_URL: served.url,
    DESK_API_KEY: deskKey,
    ADMIN_PORT: String(port),
    ADMIN_PASSWORD: password,
    SUMMARY_THRESHOLD: env.SUMMARY_THRESHOLD,
  };
  const url = `http://127.0.0.1:${port}`;
  let panel = await startInTerminal(panelEnv);
  const tokens = await addPeople(url);
  const sql = openSql(postgres.url);
  let stoppingBackend: Promise<unknown> | undefined;
  const stopBackend = async () => {
    stoppingBackend ??= Promise.all([served.close(), worker.close()]);
    await stoppingBackend;
  };
  return {
    api: clientOf(served.url, { authorization: 'Bearer the key of all' }),
    model,
    sql,
    url,
    as: (role) => clientOf(url, { authorization: `Bearer ${tokens[role]}` }),
    provision: (...options) => outputOf(join(source, 'provision-panel.ts'), options, panelEnv),
    stopBackend,
    stopPanel: () => panel.stop(),
    async startPanel() {
      panel = await startInTerminal(panelEnv);
      return panel.output();
    },
    downgradePanel: () => downgrade(panelEnv),
    async close() {
      await Promise.all([stopBackend(), panel.stop(), sql.close()]);
      await model.close();
      await postgres.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** One user of each role; an administrator is there from the start. */
async function addPeople(url: string): Promise<Record<RoleName, string>> {
  const login = await clientOf(url).post<{ data: { access_token: string } }>('/auth/login', {
    email: people.Administrator,
    password,
  });
  const admin = clientOf(url, { authorization: `Bearer ${login.body.data.access_token}` });
  const roles = await admin.get<{ data: { id: string; name: string }[] }>('/roles');
  for (const name of ['Operator', 'Viewer'] as const) {
    const role = roles.body.data.find((one) => one.name === name)?.id;
    const person = {
      email: people[name],
      password,
      role,
      first_name: name,
      token: `token-${name}`,
    };
    const added = await admin.post('/users', person);
    if (added.status !== 200) throw new Error(JSON.stringify(added.body));
  }
  return {
    Administrator: login.body.data.access_token,
    Operator: 'token-Operator',
    Viewer: 'token-Viewer',
  };
}

async function outputOf(file: string, options: string[], env: NodeJS.ProcessEnv): Promise<string> {
  const child = spawn(process.execPath, [file, ...options], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [code]: unknown[] = await once(child, 'close');
  if (code !== 0) throw new Error(`${file} ended with ${String(code)}`);
  return output;
}
