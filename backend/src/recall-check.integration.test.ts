import { execFile } from 'node:child_process';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sweepMessages } from '#src/memory/recall/sweep-messages.ts';
import { openVectorWorld, settle } from '#test/vector-world.ts';
import type { VectorWorld } from '#test/vector-world.ts';

let world: VectorWorld;

beforeAll(async () => {
  world = await openVectorWorld();
});
afterAll(() => world.close());

async function run(
  command: 'recall-check' | 'recall-reindex',
  changes: Record<string, string> = {},
): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const { PATH } = process.env;
  const env = { PATH, ...world.env, DATABASE_URL: world.databaseUrl, ...changes };
  const entry = path.join(import.meta.dirname, `${command}.ts`);
  return await new Promise((resolve) => {
    execFile(process.execPath, [entry], { env }, (error, stdout, stderr) => {
      resolve({ code: error?.code ?? 0, stdout, stderr });
    });
  });
}

const agrees = /^vectors: 0 differences between memories_tests=2F\w+_64 and the table: .*; 0 wait/m;

test('check tells what differs and changes nothing; reindex makes all anew', async () => {
  const index = world.openIndex();
  await world.tell('c', ['My dog is called Rex', 'The car is blue', 'Nobody is ill']);
  await settle(index);
  expect(await run('recall-check')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(agrees),
  });

  const [row] = await world.sql.rows<{ id: string }>('select id from embeddings limit 1');
  await index.store.remove(index.own?.name ?? '', [row?.id ?? '']);
  await world.sql.rows(`update embeddings set terms = null where id <> $1`, [row?.id]);
  const differs = async () => {
    const { code, stdout } = await run('recall-check');
    expect(code).toBe(1);
    expect(stdout).toContain('words: 2 memories wait');
    expect(stdout).toMatch(/^vectors: 1 differences .*1 missing, 0 outdated, 0 without a row; 2/m);
  };
  await differs();
  await differs();

  world.embeddings.texts.length = 0;
  expect(await run('recall-reindex')).toMatchObject({
    code: 0,
    stdout: 'Everything is indexed anew.\n',
  });
  expect(world.embeddings.texts).toEqual(expect.arrayContaining(['The car is blue']));
  expect((await run('recall-check')).stdout).toMatch(agrees);
});

test('what the ledger was never told of is counted, and indexed by reindex wherever the sweep is', async () => {
  await world.tell('never', ['The attic is full']);
  await world.sql.rows('delete from unentered_messages');
  expect((await run('recall-check')).stdout).toContain('words: 1 memories wait');
  while (await sweepMessages(world.db));
  await world.sql.rows('delete from unentered_messages');
  expect(await run('recall-reindex')).toMatchObject({ code: 0 });
  expect(await world.found('never', 'What is full?', world.openSearch())).toEqual([
    'The attic is full',
  ]);
});

test('a service that is down is named, in one line', async () => {
  world.store.isDown = true;
  const { code, stderr } = await run('recall-check');
  world.store.isDown = false;
  expect(code).toBe(1);
  expect(stderr).toBe(
    'Cut off: vector store: it does not answer; check QDRANT_URL; run it again when that works.\n',
  );
});

test('without vectors: words alone', async () => {
  const { code, stdout } = await run('recall-check', { QDRANT_URL: '' });
  expect({ code, stdout }).toEqual({ code: 0, stdout: 'words: 0 memories wait for their index\n' });
});
