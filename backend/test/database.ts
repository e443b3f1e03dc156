import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { inject } from 'vitest';

/**
 * A fresh, migrated database of the caller's own, usually one per test file (in `beforeAll`).
 * `drop` closes what is still connected to it; what is never dropped goes with the test run.
 */
export async function createTestDatabase(): Promise<TestDatabase> {
  return await createDatabase(new URL(inject('templateUrl')).pathname.slice(1));
}

/** The same without anything in it. */
export async function createEmptyDatabase(): Promise<TestDatabase> {
  return await createDatabase('template0');
}

interface TestDatabase {
  url: string;
  drop(): Promise<void>;
}

async function createDatabase(template: string): Promise<TestDatabase> {
  const url = new URL(inject('templateUrl'));
  const name = `${url.pathname.slice(1)}_${randomBytes(6).toString('hex')}`;
  await executeBeside(url, `create database ${name} template ${template}`);
  return {
    url: Object.assign(new URL(url), { pathname: `/${name}` }).href,
    drop: () => executeBeside(url, `drop database if exists ${name} with (force)`),
  };
}

/** Runs one statement from the `postgres` database: a template must have no connection while it is cloned. */
async function executeBeside(url: URL, sql: string): Promise<void> {
  const postgres = Object.assign(new URL(url), { pathname: '/postgres' });
  const client = new Client({ connectionString: postgres.href });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
