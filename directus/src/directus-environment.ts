import { join } from 'node:path';
import type { Config } from './config.ts';
import { plainEnvironment } from './config.ts';
import { panelRole } from './prepare-database.ts';
import type { PanelDatabase } from './prepare-database.ts';
import { operatorRole } from './panel/roles.ts';
import type { Secrets } from './secrets.ts';

const packageFolder = join(import.meta.dirname, '..');

/** All that Directus is told. Nothing of ours reaches it beside this: no owner's URL, no API key but the desk's. */
export function directusEnvironment(
  config: Config,
  {
    folder,
    extensions,
    secrets,
    database,
    password,
  }: {
    folder: string;
    extensions: string;
    secrets: Secrets;
    database: PanelDatabase;
    password: string;
  },
): NodeJS.ProcessEnv {
  return {
    ...plainEnvironment(),
    NODE_ENV: 'production',
    // It would read the .env of the folder it runs in.
    CONFIG_PATH: join(folder, 'none.env'),
    PACKAGE_FILE_LOCATION: packageFolder,
    EXTENSIONS_PATH: extensions,
    EXTENSIONS_MUST_LOAD: 'true',
    TEMP_PATH: join(folder, 'tmp'),
    STORAGE_LOCAL_ROOT: join(folder, 'files'),
    HOST: config.host,
    PORT: String(config.port),
    PUBLIC_URL: config.publicUrl,
    KEY: secrets.key,
    SECRET: secrets.secret,
    DB_CLIENT: 'pg',
    DB_CONNECTION_STRING: `string:${database.url}`,
    DB_SEARCH_PATH: `array:${panelRole},public`,
    DB_EXCLUDE_TABLES: `array:${database.hiddenTables.join(',')}`,
    DB_POOL__MIN: '0',
    DB_POOL__MAX: '5',
    ADMIN_EMAIL: config.admin.email,
    ADMIN_PASSWORD: password,
    SESSION_COOKIE_SECURE: String(config.publicUrl.startsWith('https:')),
    REFRESH_TOKEN_COOKIE_SECURE: String(config.publicUrl.startsWith('https:')),
    LOG_LEVEL: 'error',
    LOG_STYLE: 'raw',
    // Others write the same rows.
    CACHE_ENABLED: 'false',
    WEBSOCKETS_ENABLED: 'false',
    GRAPHQL_INTROSPECTION: 'false',
    MCP_ENABLED: 'false',
    AI_ENABLED: 'false',
    TELEMETRY: 'false',
    PROJECT_OWNER_ENABLED: 'false',
    RATE_LIMITER_ENABLED: 'true',
    RATE_LIMITER_POINTS: '200',
    RATE_LIMITER_DURATION: '1',
    DESK_BACKEND_URL: config.backend.url,
    // Directus would read digits as a number.
    DESK_API_KEY: `string:${config.backend.key ?? ''}`,
    DESK_OPERATOR_ROLE: operatorRole,
  };
}
