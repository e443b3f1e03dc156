import { migrateToLatest } from '#src/db/migrate.ts';
import { startPostgres } from './postgres-server.ts';
import { generateTableTypes } from './table-types.ts';

// Usage: pnpm db:types, after a migration was written. Writes src/db/tables.ts.
const server = await startPostgres();
try {
  await migrateToLatest(server.url);
  await generateTableTypes(server.url);
} finally {
  await server.stop();
}
