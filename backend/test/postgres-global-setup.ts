import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import type { TestProject } from 'vitest/node';
import { migrateToLatest } from '#src/db/migrate.ts';
import { startPostgres } from './postgres-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** A migrated database that nobody connects to: `create database … template …`. */
    templateUrl: string;
  }
}

/** One real PostgreSQL for the whole run (or TEST_DATABASE_URL's), with a migrated template in it. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env.TEST_DATABASE_URL;
  const server = given ? { url: given, stop: async () => {} } : await startPostgres();
  const template = `test_${randomBytes(6).toString('hex')}`;
  try {
    await execute(server.url, `create database ${template}`);
    const templateUrl = new URL(server.url);
    templateUrl.pathname = `/${template}`;
    await migrateToLatest(templateUrl.href);
    project.provide('templateUrl', templateUrl.href);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return async () => {
    if (given) await dropAll(server.url, template);
    await server.stop();
  };
}

/** Also drops what a test file left behind. */
async function dropAll(url: string, template: string): Promise<void> {
  const names = await execute(
    url,
    `select datname from pg_database where datname ~ '^${template}(_|$)'`,
  );
  for (const { datname } of names) await execute(url, `drop database ${datname} with (force)`);
}

async function execute(url: string, sql: string): Promise<{ datname: string }[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
