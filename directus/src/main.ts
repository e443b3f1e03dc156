import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { adminToken } from './admin-token.ts';
import { loadConfig, PanelError } from './config.ts';
import type { Config } from './config.ts';
import { directusEnvironment } from './directus-environment.ts';
import { describePanel } from './panel/panel.ts';
import { prepareDatabase } from './prepare-database.ts';
import { prepareExtensions } from './prepare-extensions.ts';
import { prepareTables } from './prepare-tables.ts';
import { openDirectusApi } from './provision/directus-api.ts';
import { provision } from './provision/provision.ts';
import { loadAdminPassword, loadSecrets, preparePanelFolder } from './secrets.ts';
import { spawnDirectus } from './spawn-directus.ts';

/** Brings the panel up, provisioned, and says so; then it runs until it is told to stop. */
async function runPanel(config: Config): Promise<void> {
  await checkPort(config);
  const folder = await preparePanelFolder(config.dataDir);
  const secrets = await loadSecrets(folder);
  const made = config.admin.password === undefined ? await loadAdminPassword(folder) : undefined;
  const extensions = await prepareExtensions(folder);
  const database = await prepareDatabase(config.databaseUrl, secrets.databasePassword);
  const password = config.admin.password ?? made?.password ?? '';
  const parts = { folder, extensions, secrets, database, password };
  const environment = directusEnvironment(config, parts);
  const run = (command: 'bootstrap' | 'serve') =>
    (directus = spawnDirectus(command, environment, folder));

  await prepareTables(database.url, () => run('bootstrap'));
  const server = run('serve');
  const ended = once(server, 'exit').then(([code]: (number | null)[]) => {
    throw new PanelError(`Directus ended with status ${code}; its lines above say why.`);
  });
  await Promise.race([once(server, 'message'), ended]);
  const { token, isFirst } = await adminToken(database.url, secrets.secret);
  const api = openDirectusApi(`http://127.0.0.1:${config.port}`, token);
  await Promise.race([provision(api, describePanel(config)), ended]);
  announce(config, isFirst ? made : undefined);
  await ended;
}

function announce(
  { publicUrl, admin }: Config,
  made: { password: string; path: string } | undefined,
): void {
  const login =
    made === undefined
      ? ''
      : `  Sign in as ${admin.email} with the password ${made.password} (kept in ${made.path}).\n`;
  const text = `  The operators' panel is ready at ${publicUrl}/\n${login}\n`;
  if (process.send === undefined) process.stdout.write(text);
  else process.send(text);
}

/** Directus would say it in a log line, and only when all else is done. */
async function checkPort({ host, port }: Config): Promise<void> {
  const server = createServer();
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PanelError(
      `ADMIN_PORT: the panel cannot listen on ${host}, port ${port} (${reason}); set ADMIN_PORT to another, or ADMIN_PANEL=off`,
      { cause },
    );
  }
  server.close();
  await once(server, 'close');
}

/** The one that runs now. */
let directus: ChildProcess | undefined;
let stopping = false;

function stop(): void {
  if (stopping) return;
  stopping = true;
  if (directus === undefined || directus.exitCode !== null) process.exit(0);
  directus.once('exit', () => process.exit(0)).kill('SIGTERM');
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop);
process.on('disconnect', stop);

try {
  await runPanel(loadConfig());
} catch (error) {
  if (!stopping) {
    console.error(error instanceof PanelError ? error.message : error);
    directus?.kill('SIGTERM');
    process.exit(1);
  }
}
