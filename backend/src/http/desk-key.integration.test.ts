import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clientOf, openSql, startApi } from '#test/api.ts';
import type { ApiClient, Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';

type Api = Awaited<ReturnType<typeof startApi>>;

/** What `DESK_API_KEY` opens, and nothing else. */
const opened = [
  'POST /v1/chats/{chat_id}/messages',
  'POST /v1/chats/{chat_id}/takeover',
  'POST /v1/chats/{chat_id}/handback',
  'GET /v1/chats/{chat_id}/footprint',
  'GET /v1/chats/{chat_id}/export',
  'GET /v1/users/{user_id}/footprint',
  'POST /v1/sessions/{session_id}/summarize',
  'POST /v1/sessions/{session_id}/rebuild',
  'GET /v1/turns/{turn_id}/context',
  'POST /v1/turns/{turn_id}/retry',
  'POST /v1/deliveries/{message_id}/retry',
  'POST /v1/memories/retry',
  'POST /v1/chat/reset',
  'POST /v1/chat/forget',
  'POST /v1/access/approve',
];
const people = {
  operator: '0a000000-0000-4000-8000-000000000001',
  administrator: '0a000000-0000-4000-8000-000000000002',
  viewer: '0a000000-0000-4000-8000-000000000003',
  suspended: '0a000000-0000-4000-8000-000000000004',
  roleless: '0a000000-0000-4000-8000-000000000005',
};

let databaseUrl: string;
let sql: Sql;
let api: Api;
let routes: [method: string, path: string][];

beforeAll(async () => {
  ({ url: databaseUrl } = await createTestDatabase());
  sql = openSql(databaseUrl);
  api = await startApi({ databaseUrl, env: { API_KEY: 'all', DESK_API_KEY: 'desk' } });
  const { body } = await clientOf(api.url, { authorization: 'Bearer all' }).get<{
    paths: Record<string, Record<string, object>>;
  }>('/openapi.json');
  routes = Object.entries(body.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method): [string, string] => [method.toUpperCase(), path]),
  );
});

afterAll(async () => {
  await api.close();
  await sql.close();
});

function as(person: string | undefined, key = 'desk'): ApiClient {
  return clientOf(api.url, {
    authorization: `Bearer ${key}`,
    ...(person === undefined ? {} : { 'x-operator': person }),
  });
}

async function call(client: ApiClient, method: string, path: string) {
  const filled = path.replaceAll(/\{\w+\}/g, '1');
  return method === 'GET' ? await client.get(filled) : await client.post(filled, {});
}

test('without a panel in the database nobody is an operator', async () => {
  expect(await as(people.operator).post('/v1/memories/retry', {})).toMatchObject({
    status: 403,
    body: { code: 'operator_not_allowed' },
  });
  await sql.rows('create schema directus');
  expect((await as(people.operator).post('/v1/memories/retry', {})).status).toBe(403);
});

test('only who is an active Operator or Administrator of the panel passes', async () => {
  await sql.rows('create table directus.directus_roles (id uuid primary key, name text not null)');
  await sql.rows(
    `create table directus.directus_users (id uuid primary key, status text not null, role uuid
      references directus.directus_roles)`,
  );
  await sql.rows(
    `insert into directus.directus_roles
      select gen_random_uuid(), unnest(array['Operator', 'Administrator', 'Viewer'])`,
  );
  await sql.rows(
    `insert into directus.directus_users
      select who.id::uuid, status, r.id
      from unnest($1::text[], $2::text[], $3::text[]) as who (id, status, role)
        left join directus.directus_roles r on r.name = who.role`,
    [
      Object.values(people),
      ['active', 'active', 'active', 'suspended', 'active'],
      ['Operator', 'Administrator', 'Viewer', 'Operator', null],
    ],
  );
  const strangers = ['', 'Operator', "' or true --", '0b000000-0000-4000-8000-000000000001'];
  for (const nobody of [
    undefined,
    ...strangers,
    people.viewer,
    people.suspended,
    people.roleless,
  ]) {
    expect(await as(nobody).post('/v1/memories/retry', {}), nobody).toMatchObject({
      status: 403,
      body: { code: 'operator_not_allowed' },
    });
  }
  for (const somebody of [people.operator, people.administrator]) {
    expect(await as(somebody).post('/v1/memories/retry', {})).toMatchObject({
      status: 200,
      body: { retried: 0 },
    });
  }
  await sql.rows(`update directus.directus_users set status = 'archived' where id = $1`, [
    people.administrator,
  ]);
  expect((await as(people.administrator).post('/v1/memories/retry', {})).status).toBe(403);
});

/** What a newer panel, or a broken one, may have made of its tables, and how it is undone. */
const otherStates: [name: string, change: string, undo: string][] = [
  [
    'users renamed',
    'alter table directus.directus_users rename to people',
    'alter table directus.people rename to directus_users',
  ],
  [
    'no status',
    'alter table directus.directus_users rename status to state',
    'alter table directus.directus_users rename state to status',
  ],
  [
    'roles as text',
    `alter table directus.directus_users drop constraint directus_users_role_fkey,
      alter role type text`,
    `alter table directus.directus_users alter role type uuid using role::uuid`,
  ],
  [
    'names as numbers',
    'alter table directus.directus_roles alter name type integer using length(name)',
    `alter table directus.directus_roles alter name type text
      using case name when 8 then 'Operator' when 13 then 'Administrator' else 'Viewer' end`,
  ],
  [
    'another schema',
    'alter schema directus rename to panel',
    'alter schema panel rename to directus',
  ],
];

test('where the panel’s tables are not what they were, nobody is an operator', async () => {
  for (const [name, change, undo] of otherStates) {
    await sql.rows(change);
    expect(await as(people.operator).post('/v1/memories/retry', {}), name).toMatchObject({
      status: 403,
      body: { code: 'operator_not_allowed', detail: expect.stringContaining('Nobody') },
    });
    await sql.rows(undo);
    expect((await as(people.operator).post('/v1/memories/retry', {})).status, name).toBe(200);
  }
});

test('while the panel’s tables are locked operators are told to wait, and chats go on', async () => {
  const migration = new Client({ connectionString: databaseUrl });
  await migration.connect();
  await migration.query('begin');
  await migration.query('lock table directus.directus_users, directus.directus_roles');
  // As many as the API has connections, and more.
  const waiting = Array.from({ length: 40 }, () =>
    as(people.operator).post('/v1/memories/retry', {}),
  );
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, n) =>
      as(undefined, 'all').handle({ chat_id: `meanwhile ${n}`, text: 'Hello' }),
    ),
  );
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  for (const answer of await Promise.all(waiting)) {
    expect(answer).toMatchObject({ status: 503, body: { code: 'database_unavailable' } });
  }
  await migration.end();
  expect((await as(people.operator).post('/v1/memories/retry', {})).status).toBe(200);
});

test('the panel’s key opens what operators do, and nothing else; API_KEY opens everything', async () => {
  const passed: string[] = [];
  for (const [method, path] of routes) {
    if (path === '/health') continue;
    const { body } = await call(as(people.operator), method, path);
    if (body['code'] !== 'operator_not_allowed') passed.push(`${method} ${path}`);
    const withApiKey = await call(as(undefined, 'all'), method, path);
    expect([401, 403]).not.toContain(withApiKey.status);
  }
  expect(passed.toSorted()).toEqual(opened.toSorted());
  for (const path of ['/openapi.json', '/nothing']) {
    expect((await as(people.operator).get(path)).status).toBe(403);
  }
  expect((await as(people.operator, 'other').post('/v1/memories/retry', {})).status).toBe(401);
});

test('on loopback without API_KEY, the panel’s key is still no more than that', async () => {
  const open = await startApi({ databaseUrl, env: { DESK_API_KEY: 'desk' } });
  const desk = { authorization: 'Bearer desk', 'x-operator': people.operator };
  try {
    expect((await open.get('/v1/deliveries')).status).toBe(200);
    expect((await open.get('/v1/deliveries', { headers: desk })).status).toBe(403);
    expect((await open.post('/v1/memories/retry', {}, { headers: desk })).status).toBe(200);
    const viewer = { ...desk, 'x-operator': people.viewer };
    expect((await open.post('/v1/memories/retry', {}, { headers: viewer })).status).toBe(403);
  } finally {
    await open.close();
  }
});

test('who took a chat over, and who spoke in it, is kept', async () => {
  const all = as(undefined, 'all');
  await all.handle({ chat_id: 'kept', text: 'Hi' });
  await as(people.operator).post('/v1/chats/kept/takeover', {});
  const { body } = await as(people.operator).post('/v1/chats/kept/messages', { text: 'Hello' });
  expect(
    await sql.rows('select operator_id from messages where id = $1', [body['message_id']]),
  ).toEqual([{ operator_id: people.operator }]);
  expect(await sql.rows(`select taken_over_by from chat_sessions where chat_id = 'kept'`)).toEqual([
    { taken_over_by: people.operator },
  ]);
  // With API_KEY nobody checks who it is, so nobody is believed.
  await as(people.operator, 'all').post('/v1/chats/kept/takeover', {});
  expect(await sql.rows(`select taken_over_by from chat_sessions where chat_id = 'kept'`)).toEqual([
    { taken_over_by: null },
  ]);
});
