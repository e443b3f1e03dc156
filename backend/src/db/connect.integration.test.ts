import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase } from '#test/database.ts';
import { connect } from './connect.ts';

let database: Awaited<ReturnType<typeof createTestDatabase>>;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

test('a connection that breaks between two statements fails the second and ends nothing', async () => {
  const { db, pool, close } = connect(database.url, { max: 2 });
  const broken = db.transaction().execute(async (tx) => {
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(tx);
    await pool.query('select pg_terminate_backend($1, 5000)', [rows[0]?.pid]);
    // Its last words are read while nothing asks.
    await sleep(50);
    await sql`select 1`.execute(tx);
  });
  await expect(broken).rejects.toThrow();
  expect((await sql`select 1 as one`.execute(db)).rows).toEqual([{ one: 1 }]);
  await close();
});

test('closing ends the connections, whichever of the two was used', async () => {
  const { pool, close } = connect(database.url, { max: 1 });
  await pool.query('select 1');
  await close();
  expect(pool.ended).toBe(true);
  const other = connect(database.url, { max: 1 });
  await sql`select 1`.execute(other.db);
  await other.close();
  expect(other.pool.ended).toBe(true);
});
