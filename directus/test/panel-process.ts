import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { listProcessesOn } from '../../backend/test/data-folder.ts';
import { loadConfig } from '#src/config.ts';
import { directusEnvironment } from '#src/directus-environment.ts';
import { prepareDatabase } from '#src/prepare-database.ts';
import { loadSecrets } from '#src/secrets.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');

export interface PanelProcess {
  output(): string;
  /** As Ctrl-C does it: to the whole process group. */
  stop(): Promise<{ code: number | null; left: number[] }>;
}

/** `pnpm admin` as somebody runs it in a terminal: nobody listens but to what it prints. Resolves once it is ready. */
export async function startInTerminal(env: NodeJS.ProcessEnv): Promise<PanelProcess> {
  const { scripts }: { scripts: { admin: string } } = JSON.parse(
    await readFile(join(root, 'package.json'), 'utf8'),
  );
  const child = spawn('sh', ['-c', `exec ${scripts.admin}`], {
    cwd: root,
    detached: true,
    env: { ...env, PATH: `${join(root, 'node_modules/.bin')}:${env.PATH}` },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const isReady = Promise.withResolvers<void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (output.includes("The operators' panel is ready")) isReady.resolve();
    });
  }
  const closed = once(child, 'close').then(([code]: (number | null)[]) => {
    isReady.reject(new Error(`The panel ended with ${code}:\n${output}`));
    return code ?? null;
  });
  await isReady.promise;
  return {
    output: () => output,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        process.kill(-(child.pid ?? 0), 'SIGINT');
      }
      return { code: await closed, left: await listProcessesOn(env.DATA_DIR ?? '') };
    },
  };
}

/** Undoes the latest of Directus' own migrations, by its own command. */
export async function downgrade(env: NodeJS.ProcessEnv): Promise<void> {
  const config = loadConfig(env);
  const folder = join(config.dataDir, 'panel');
  const secrets = await loadSecrets(folder);
  const database = await prepareDatabase(config.databaseUrl, secrets.databasePassword);
  const extensions = join(folder, 'extensions');
  const parts = { folder, extensions, secrets, database, password: '' };
  const command = [join(root, 'directus/src/run-directus.ts'), 'database', 'migrate:down'];
  await run(process.execPath, command, { cwd: folder, env: directusEnvironment(config, parts) });
  const client = new Client({ connectionString: database.url });
  await client.connect();
  await client.query(`comment on schema directus is 'Directus 12.3.0'`);
  await client.end();
}
