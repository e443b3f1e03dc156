import { test } from 'vitest';
import { createTestDatabase } from '#test/database.ts';
import { generateTableTypes } from '#test/table-types.ts';

test('tables.ts is what the migrations make; `pnpm db:types` writes it anew', async () => {
  const database = await createTestDatabase();
  await generateTableTypes(database.url, '--verify');
  await database.drop();
});
