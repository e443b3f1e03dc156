import { Client } from 'pg';
import { grants } from '#desk/grants.ts';
import { PanelError } from './config.ts';

/** Of the panel in PostgreSQL, and of the schema with its own tables. */
export const panelRole = 'directus';

/** Any number that nothing else in the same database locks. */
const lockKey = 7_205_919;

/** How the panel finds its database. */
export interface PanelDatabase {
  /** As its own role. */
  url: string;
  /** The backend's bookkeeping: tables that are none of the panel's business. */
  hiddenTables: string[];
}

/**
 * Makes the panel's role, which owns a schema of its own and holds the desk's grants on the backend's
 * tables, and nothing else there.
 */
export async function prepareDatabase(ownerUrl: string, password: string): Promise<PanelDatabase> {
  const client = new Client({ connectionString: ownerUrl });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('begin');
    await client.query(`select pg_advisory_xact_lock(${lockKey})`);
    for (const statement of statements(client.escapeLiteral(password))) {
      await client.query(statement);
    }
    const { rows } = await client.query(
      `select tablename as name from pg_tables where schemaname = 'public' order by name`,
    );
    await client.query('commit');
    const tables: string[] = rows.map(({ name }) => name);
    return {
      url: panelDatabaseUrl(ownerUrl, password),
      hiddenTables: tables.filter((name) => !(name in grants)),
    };
  } catch (cause) {
    throw explain(cause);
  } finally {
    await client.end().catch(() => {});
  }
}

export function panelDatabaseUrl(ownerUrl: string, password: string): string {
  return Object.assign(new URL(ownerUrl), { username: panelRole, password }).href;
}

function statements(password: string): string[] {
  return [
    `do $$ begin
      if to_regrole('${panelRole}') is null then create role ${panelRole}; end if;
      if not pg_has_role('${panelRole}', 'usage') then grant ${panelRole} to current_user; end if;
    end $$`,
    `alter role ${panelRole} login password ${password}`,
    `create schema if not exists ${panelRole} authorization ${panelRole}`,
    `grant usage on schema public to ${panelRole}`,
    `revoke all on all tables in schema public from ${panelRole}`,
    ...Object.entries(grants).map(
      ([table, grant]) => `grant ${privileges(grant)} on ${table} to ${panelRole}`,
    ),
  ];
}

function privileges(grant: (typeof grants)[string]): string {
  return [
    'select',
    grant.create && `insert (${grant.create.join(', ')})`,
    grant.update && `update (${grant.update.join(', ')})`,
    grant.delete && 'delete',
  ]
    .filter(Boolean)
    .join(', ');
}

function explain(cause: unknown): unknown {
  if (!(cause instanceof Error)) return cause;
  const code = 'code' in cause ? cause.code : undefined;
  const advice =
    code === '42501'
      ? 'let its role create roles (alter role … createrole)'
      : code === '42P01'
        ? 'start the API first, which makes the tables'
        : 'check that it runs and that the address is right';
  return new PanelError(
    `DATABASE_URL: the panel cannot prepare its part of the database (${cause.message || String(cause)}); ${advice}.`,
    { cause },
  );
}
