import { once } from 'node:events';
import type { ChildProcess } from 'node:child_process';
import { createRequire } from 'node:module';
import { Client } from 'pg';
import { PanelError } from './config.ts';
import { panelRole } from './prepare-database.ts';

const { version }: { version: string } = createRequire(import.meta.url)('directus/package.json');

/**
 * Lets Directus make or migrate its own tables, and its first administrator with them. It takes as
 * long as a start, so the schema's comment remembers which version did it.
 */
export async function prepareTables(
  databaseUrl: string,
  bootstrap: () => ChildProcess,
): Promise<void> {
  const client = new Client({ connectionString: databaseUrl });
  client.on('error', () => {});
  await client.connect();
  try {
    const { rows } = await client.query(
      `select obj_description('${panelRole}'::regnamespace) as remembered`,
    );
    const done = `Directus ${version}`;
    if (rows[0]?.remembered === done) return;
    const [code]: (number | null)[] = await once(bootstrap(), 'exit');
    if (code !== 0) {
      throw new PanelError(
        `Directus could not prepare its tables (status ${code}); its lines above say why.`,
      );
    }
    await client.query(`comment on schema ${panelRole} is ${client.escapeLiteral(done)}`);
  } finally {
    await client.end();
  }
}
