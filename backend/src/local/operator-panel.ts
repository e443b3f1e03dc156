import type { Logger } from '../logger.ts';
import { startOwnProcess } from './own-process.ts';
import type { OwnProcess } from './own-process.ts';

/**
 * Runs the operators' panel on the same database. What it has to say when it is ready (where it is,
 * how to sign in) is printed, wherever the log goes.
 */
export function startOperatorPanel(
  places: { apiUrl: string; databaseUrl: string; dataDir: string; deskApiKey: string },
  log: { logFile: string | undefined; logger: Logger },
): OwnProcess {
  const variables = {
    BACKEND_URL: places.apiUrl,
    DATABASE_URL: places.databaseUrl,
    DATA_DIR: places.dataDir,
    DESK_API_KEY: places.deskApiKey,
  };
  const panel = startOwnProcess(
    { name: "the operators' panel", entry: 'directus/src/main.ts', variables },
    log,
  );
  panel.child.on('message', (announcement) => {
    if (typeof announcement === 'string') process.stdout.write(announcement);
  });
  return panel;
}
