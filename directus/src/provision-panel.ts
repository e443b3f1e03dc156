import { adminToken } from './admin-token.ts';
import { loadConfig, PanelError } from './config.ts';
import { describePanel } from './panel/panel.ts';
import { panelDatabaseUrl } from './prepare-database.ts';
import { openDirectusApi } from './provision/directus-api.ts';
import { provision } from './provision/provision.ts';
import { loadSecrets, preparePanelFolder } from './secrets.ts';

/** Sets up a panel that runs already, as after a migration. `--dry-run` only says what it would change. */
const dryRun = process.argv.includes('--dry-run');
try {
  const config = loadConfig();
  const secrets = await loadSecrets(await preparePanelFolder(config.dataDir));
  const databaseUrl = panelDatabaseUrl(config.databaseUrl, secrets.databasePassword);
  const { token } = await adminToken(databaseUrl, secrets.secret);
  const api = openDirectusApi(`http://127.0.0.1:${config.port}`, token);
  const report = (line: string) => console.log(line);
  const changes = await provision(api, describePanel(config), { dryRun, report });
  console.log(`${changes} changes${dryRun ? ' would be made' : ''}`);
} catch (error) {
  console.error(error instanceof PanelError ? error.message : error);
  process.exit(1);
}
