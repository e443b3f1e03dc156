import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { runProgram } from '#src/local/run-program.ts';
import { openSql, spawnApi } from '#test/api.ts';
import type { Answer, ApiProcess, Sql } from '#test/api.ts';
import { eventually } from '#test/eventually.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';
import { startPostgres } from '#test/postgres-server.ts';
import type { PostgresServer } from '#test/postgres-server.ts';

/** No call may take longer, whatever the database does. */
const BOUND_MS = 20_000;

let server: PostgresServer;
let model: FakeModel;
let sql: Sql;
let api: ApiProcess;

beforeAll(async () => {
  // What was committed must outlive the server's death here.
  server = await startPostgres({ synchronous_commit: 'on' });
  model = await startFakeModel();
  model.behave({ kind: 'reply', delayMs: 20 });
  sql = openSql(server.url);
  api = await spawnApi({ databaseUrl: server.url, modelUrl: model.url });
});

afterAll(async () => {
  api.kill('SIGKILL');
  await model.close();
  await sql.close();
  await server.stop();
});

test.each([
  ['killed', 'SIGKILL'],
  ['stopped fast', 'SIGINT'],
] as const)(
  'the database is %s under load: only 503, and the service recovers by itself',
  async (how, signal) => {
    const stop = new AbortController();
    const seen: Outcome[] = [];
    const load = Array.from({ length: 12 }, (_, caller) =>
      callUntil(stop.signal, `${how} ${caller}`, seen),
    );
    await eventually(() => expect(count(seen, 200)).toBeGreaterThan(100), 20_000);

    process.kill(await postmasterPid(), signal);
    await eventually(() => expect(count(seen, 503)).toBeGreaterThan(50), BOUND_MS);
    const health = await api.get('/health');
    expect(health).toMatchObject({ status: 503, body: { code: 'database_unavailable' } });
    await startAgain();

    const answeredBefore = count(seen, 200);
    await vi.waitFor(
      () => expect(count(seen, 200)).toBeGreaterThan(answeredBefore + 100),
      BOUND_MS,
    );
    expect(await api.get('/health')).toMatchObject({ status: 200, body: { status: 'ok' } });
    stop.abort();
    await Promise.all(load);

    expect(seen.filter(({ status }) => status !== 200 && status !== 503)).toEqual([]);
    for (const { status, code } of seen) {
      if (status === 503) expect(code).toBe('database_unavailable');
    }
    expect(Math.max(...seen.map(({ ms }) => ms))).toBeLessThan(BOUND_MS);
    await expectNothingLost(seen);
  },
  90_000,
);

interface Outcome {
  status: number;
  code: string | undefined;
  ms: number;
  text: string;
  replyId: string | undefined;
}

/** Sends one message after the other and tries each again until it is answered; looks at other routes in between. */
async function callUntil(stop: AbortSignal, chat_id: string, seen: Outcome[]): Promise<void> {
  for (let index = 0; !stop.aborted; index += 1) {
    const text = `${chat_id} message ${index}`;
    const handle = () => api.handle({ chat_id, text, message_id: text, user_id: 'ada' });
    let status = 0;
    while (status !== 200 && !stop.aborted) {
      status = await record(seen, text, handle);
      if (status !== 200) await sleep(50);
    }
    await record(seen, text, () => api.get(`/v1/chats/${encodeURIComponent(chat_id)}/export`));
    await record(seen, text, () => api.post('/v1/chat/forget', { chat_id: `nobody ${chat_id}` }));
  }
}

async function record(
  seen: Outcome[],
  text: string,
  call: () => Promise<Answer<{ code?: string; reply_message_id?: string }>>,
): Promise<number> {
  const startedAt = performance.now();
  // A call that is not answered at all is a crash or a cut connection: it fails the test.
  const { status, body } = await call();
  const ms = performance.now() - startedAt;
  seen.push({ status, code: body.code, ms, text, replyId: body.reply_message_id });
  return status;
}

function count(seen: Outcome[], status: number): number {
  return seen.filter((outcome) => outcome.status === status).length;
}

/** Every reply that a caller was given is in the table, once, behind its question. */
async function expectNothingLost(seen: Outcome[]): Promise<void> {
  const answered = seen.filter(({ replyId }) => replyId !== undefined);
  const rows = await sql.rows<{ reply: string; question: string }>(
    `select r.id as reply, q.content as question from turns t
      join messages q on q.id = t.user_message_id join messages r on r.id = t.reply_message_id
      where r.id = any($1::bigint[]) and r.content = 'echo: ' || q.content and r.id > q.id`,
    [answered.map(({ replyId }) => replyId)],
  );
  const stored = new Map(rows.map(({ reply, question }) => [reply, question]));
  expect(answered.filter(({ replyId, text }) => stored.get(replyId ?? '') !== text)).toEqual([]);
  const twice = await sql.rows(
    `select content from messages where role = 'user' group by session_id, content having count(*) > 1`,
  );
  expect(twice).toEqual([]);
}

async function postmasterPid(): Promise<number> {
  const file = await readFile(join(server.cluster.folder, 'postmaster.pid'), 'utf8');
  return Number(file.split('\n')[0]);
}

/** The same cluster on the same port. */
async function startAgain(): Promise<void> {
  const { folder, programs, account } = server.cluster;
  const { port } = new URL(server.url);
  await vi.waitFor(
    async () => {
      await rm(join(folder, 'postmaster.pid'), { force: true });
      const flags = ['-D', folder, '-l', join(folder, 'server.log'), '-o', `-p ${port}`];
      await runProgram(programs.pg_ctl, ['start', '-s', '-w', ...flags], { account, cwd: folder });
    },
    { timeout: BOUND_MS, interval: 500 },
  );
}
