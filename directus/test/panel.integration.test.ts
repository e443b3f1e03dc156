import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { eventually } from '../../backend/test/eventually.ts';
import type { FakeModelRequestBody } from '../../backend/test/fake-model-response.ts';
import { startDesk } from './start-desk.ts';
import type { Desk, RoleName } from './start-desk.ts';

// Directus takes its time on a busy machine.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 300_000 });

let desk: Desk;

beforeAll(async () => {
  desk = await startDesk();
  desk.model.behave((body) => ({ kind: 'reply', text: isSummary(body) ? summaryText : 'I see.' }));
});

afterAll(() => desk?.close());

const summaryText = 'The user is called Ada, lives in Riga and likes tea with lemon.';

/** Only summaries have a longest length here. */
function isSummary(body: FakeModelRequestBody): boolean {
  return body.max_tokens !== undefined;
}

/** Says something, and resolves with the turn and all that the model was sent for it. */
async function say(chat: string, text: string) {
  const { status, body } = await desk.api.handle({ chat_id: chat, text });
  const sent = desk.model.requests.findLast((request) => !isSummary(request.body));
  const prompt = sent?.body.messages.map(({ content }) => content).join('\n') ?? '';
  return { status, body, prompt };
}

async function patch(role: RoleName, path: string, body: object) {
  return desk.as(role).post(path, body, { method: 'PATCH' });
}

async function ask(role: RoleName, path: string, body: object = {}) {
  return desk.as(role).post(`/desk/backend${path}`, body);
}

/** The counters count what is there, and no summary went back behind an earlier one. */
async function exact(): Promise<void> {
  const broken = await desk.sql.rows(`
    select s.id from chat_sessions s
    where s.messages_since_summary <> (select count(*) from messages m
        where m.session_id = s.id and m.id > latest_watermark(s.id))
      or exists (select from (
          select version, row_number() over w as expected, last_message_id,
            lag(last_message_id, 1, 0::bigint) over w as before
          from conversation_summaries where session_id = s.id window w as (order by version)) as v
        where version <> expected or last_message_id < before)`);
  expect(broken).toEqual([]);
}

/** A conversation with a summary. */
async function talkUntilSummarised(chat: string) {
  await say(chat, 'My name is Ada.');
  await say(chat, 'I live in Riga.');
  const { body } = await say(chat, 'I like tea with lemon.');
  let id = '';
  await eventually(async () => {
    const [row] = await desk.sql.rows<{ id: string }>(
      'select id from conversation_summaries where session_id = $1 order by version desc limit 1',
      [body.session_id],
    );
    expect(row).toBeDefined();
    id = row?.id ?? '';
  });
  return { sessionId: body.session_id, summaryId: id };
}

test('a corrected summary is what the next prompt carries, and the revision names who did it', async () => {
  const { sessionId, summaryId } = await talkUntilSummarised('corrected');
  const content = 'The user is called Grace and lives in Oslo.';
  const path = `/items/conversation_summaries/${summaryId}`;
  expect((await patch('Operator', path, { content })).status).toBe(200);
  const { prompt } = await say('corrected', 'Who am I?');
  expect(prompt).toContain(content);
  expect(prompt).not.toContain('lives in Riga');
  const revisions = await desk
    .as('Administrator')
    .get<{ data: unknown }>(
      `/revisions?filter[collection][_eq]=conversation_summaries&filter[item][_eq]=${summaryId}&fields=activity.user.first_name&sort=-id&limit=1`,
    );
  expect(revisions.body.data).toEqual([{ activity: { user: { first_name: 'Operator' } } }]);
  await exact();
  expect(sessionId).toBeTruthy();
});

test('a deleted message is in no later prompt or search', async () => {
  await say('deleted', 'My secret colour is vermilion.');
  const { body } = await say('deleted', 'And I keep bees.');
  const [secret] = await desk.sql.rows<{ id: string }>(
    `select id from messages where session_id = $1 and content like '%vermilion%'`,
    [body.session_id],
  );
  const gone = await desk
    .as('Operator')
    .post(`/items/messages/${secret?.id}`, {}, { method: 'DELETE' });
  expect(gone.status).toBe(204);
  expect((await say('deleted', 'Which colour?')).prompt).not.toContain('vermilion');
  const search = { chat_id: 'deleted', query: 'vermilion colour' };
  const found = await desk.api.post('/v1/memory/search', search);
  expect(JSON.stringify(found.body)).not.toContain('vermilion');
  await exact();
});

test('a memory of no importance is recalled no more', async () => {
  const question = 'What is my cat called, the tortoiseshell?';
  await say('zeroed', 'My tortoiseshell cat is called Minka.');
  await say('zeroed', 'It rains today.');
  await talkUntilSummarised('zeroed');
  const memories = () =>
    desk.sql.rows<{ id: string; importance: number }>(
      `select e.id, e.importance from embeddings e join chat_sessions s on s.id = e.session_id
       where s.chat_id = 'zeroed' and e.content like '%Minka%' and e.state = 'indexed'`,
    );
  await eventually(async () => expect(await memories()).not.toEqual([]));
  expect((await say('zeroed', question)).prompt).toContain('is called Minka');
  const keys = (await memories()).map(({ id }) => id);
  const changed = await patch('Operator', '/items/embeddings', { keys, data: { importance: 0 } });
  expect(changed.status).toBe(200);
  expect((await say('zeroed', `Again: ${question}`)).prompt).not.toContain('is called Minka');
  await exact();
});

test('a closed conversation is closed: the next message opens a new one', async () => {
  const { body } = await say('closed', 'Remember that I am Ada.');
  const path = `/items/chat_sessions/${body.session_id}`;
  expect((await patch('Operator', path, { is_active: false })).status).toBe(200);
  const [row] = await desk.sql.rows<{ closed_at: Date | null }>(
    'select closed_at from chat_sessions where id = $1',
    [body.session_id],
  );
  expect(row?.closed_at).toBeInstanceOf(Date);
  const next = await say('closed', 'Hello');
  expect(next.body.session_id).not.toBe(body.session_id);
  await exact();
});

test('a user is blocked, let in again, and limited', async () => {
  const user = { id: 'user of judged', access: 'blocked' };
  expect((await desk.as('Operator').post('/items/users', user)).status).toBe(200);
  expect(await say('judged', 'Hello')).toMatchObject({
    status: 403,
    body: { code: 'access_denied' },
  });
  const path = `/items/users/${encodeURIComponent(user.id)}`;
  await patch('Operator', path, { access: 'approved', rate_limit_per_minute: 1 });
  expect((await say('judged', 'Hello again')).status).toBe(200);
  expect(await say('judged', 'And again')).toMatchObject({ status: 429 });
});

test('an operator speaks, holds the chat, and hands it back', async () => {
  const { body } = await say('held', 'Where is my parcel?');
  expect((await ask('Operator', '/v1/chats/held/takeover')).status).toBe(200);
  expect(await say('held', 'Hello?')).toMatchObject({ body: { type: 'silence' } });
  const said = await ask('Operator', '/v1/chats/held/messages', { text: 'It comes tomorrow.' });
  expect(said).toMatchObject({ status: 201, body: { delivery: 'pending' } });
  const [row] = await desk.sql.rows(
    `select m.role, m.author, u.email from messages m
       join directus.directus_users u on u.id::text = m.operator_id where m.id = $1`,
    [said.body.message_id],
  );
  expect(row).toEqual({ role: 'assistant', author: 'operator', email: 'operator@example.com' });
  expect((await ask('Operator', '/v1/chats/held/handback')).status).toBe(200);
  const next = await say('held', 'Thanks');
  expect(next.prompt).toContain('It comes tomorrow.');
  expect(next.body.session_id).toBe(body.session_id);
  await exact();
});

test('a summary is written and rebuilt when an operator asks for it', async () => {
  const { body } = await say('asked', 'My name is Ada and I live in Riga.');
  const versions = () =>
    desk.sql.rows<{ content: string }>(
      'select content from conversation_summaries where session_id = $1',
      [body.session_id],
    );
  expect((await ask('Operator', `/v1/sessions/${body.session_id}/summarize`)).status).toBe(202);
  await eventually(async () => expect(await versions()).toEqual([{ content: summaryText }]));
  expect((await ask('Operator', `/v1/sessions/${body.session_id}/rebuild`)).status).toBe(202);
  await eventually(async () => {
    const [row] = await desk.sql.rows('select summary_request from chat_sessions where id = $1', [
      body.session_id,
    ]);
    expect(row).toEqual({ summary_request: null });
  });
  await exact();
});

test('a failed turn is tried again, an uncertain delivery is sent again', async () => {
  desk.model.behave({ kind: 'status', status: 400 });
  expect((await say('stuck', 'Hello')).status).toBe(502);
  desk.model.behave({ kind: 'reply', text: 'Here I am.' });
  const [turn] = await desk.sql.rows<{ id: string }>(
    `select id from turns where chat_id = 'stuck' and state = 'failed'`,
  );
  expect((await ask('Operator', `/v1/turns/${turn?.id}/retry`)).status).toBe(202);
  const reply = () =>
    desk.sql.rows<{ id: string; delivery_state: string }>(
      `select m.id, m.delivery_state from messages m join turns t on t.reply_message_id = m.id
       where t.chat_id = 'stuck'`,
    );
  await eventually(async () => expect(await reply()).toHaveLength(1));
  const id = (await reply())[0]?.id;
  for (const state of ['sending', 'uncertain']) {
    await desk.api.post(`/v1/deliveries/${id}`, { state });
  }
  expect((await ask('Operator', `/v1/deliveries/${id}/retry`)).status).toBe(200);
  expect(await reply()).toMatchObject([{ delivery_state: 'pending' }]);
  await exact();
});

test('forgetting says how many rows, and leaves none', async () => {
  await talkUntilSummarised('forgotten');
  const before = await desk
    .as('Operator')
    .get<{ total: number }>('/desk/backend/v1/chats/forgotten/footprint');
  expect(before.body.total).toBeGreaterThan(6);
  expect((await ask('Operator', '/v1/chat/forget', { chat_id: 'forgotten' })).status).toBe(200);
  const after = await desk
    .as('Operator')
    .get<{ total: number }>('/desk/backend/v1/chats/forgotten/footprint');
  expect(after.body.total).toBe(0);
});

test('an export has every row that is filtered, and no formula', async () => {
  await desk.sql.rows(
    `insert into messages (session_id, role, content)
     select (select id from chat_sessions where chat_id = 'closed' limit 1), 'system', '=1+' || n
       from generate_series(1, 2500) as n`,
  );
  const query = encodeURIComponent(JSON.stringify({ filter: { role: { _eq: 'system' } } }));
  const as = desk.as('Viewer');
  const json = await as.get<unknown[]>(`/desk/export/messages?format=json&query=${query}`);
  expect(json.body).toHaveLength(2500);
  const csv = await as.get<string>(`/desk/export/messages?format=csv&query=${query}`);
  const lines = csv.body.trimEnd().split('\r\n');
  expect(lines).toHaveLength(2501);
  expect(lines[1]).toContain(`,'=1+1,`);
  const refused = await as.get('/desk/export/directus_users?format=json');
  expect(refused.status).toBe(403);
});

/** Of everything that the backend keeps, and of what the panel's roles may do. */
async function contents(): Promise<unknown> {
  const tables = ['chat_sessions', 'messages', 'conversation_summaries', 'embeddings', 'turns'];
  const rows = [...tables, 'users', 'directus.directus_users', 'directus.directus_permissions'];
  // The sweep may be at it.
  const ofBackend = `'summary_error', 'summary_failed_at', 'summary_failures', 'summary_retry_at'`;
  const sums = rows.map(
    (table) =>
      `select '${table}' as name, md5(string_agg(hash, '' order by hash)) as sum from (
         select md5((to_jsonb(t) - array['last_access', 'last_page', ${ofBackend}])::text) as hash from ${table} t) as h`,
  );
  return desk.sql.rows(sums.join(' union all '));
}

/** An administrator's own flow that deletes what it is run on, with the flow's rights. */
async function addFlow(trigger: 'manual' | 'webhook'): Promise<string> {
  const admin = desk.as('Administrator');
  const options =
    trigger === 'manual'
      ? { collections: ['messages'], requireSelection: true, location: 'both' }
      : { method: 'GET' };
  const flow = { name: trigger, trigger, status: 'active', accountability: 'all', options };
  const made = await admin.post<{ data: { id: string } }>('/flows', flow);
  const { id } = made.body.data;
  const deleting = {
    name: 'Delete',
    key: 'delete',
    type: 'item-delete',
    position_x: 19,
    position_y: 1,
    flow: id,
    options: {
      permissions: '$full',
      emitEvents: true,
      collection: 'messages',
      key: trigger === 'manual' ? '{{$trigger.body.keys}}' : ['{{$trigger.query.id}}'],
    },
  };
  const operation = await admin.post<{ data: { id: string } }>('/operations', deleting);
  const first = { operation: operation.body.data.id };
  const linked = await admin.post(`/flows/${id}`, first, { method: 'PATCH' });
  expect(linked.status).toBe(200);
  return id;
}

test('a Viewer changes nothing, by whatever way', async () => {
  const { sessionId, summaryId } = await talkUntilSummarised('watched');
  await desk.sql.rows(`insert into users (id) values ('watched')`);
  const [message] = await desk.sql.rows<{ id: string }>(
    'select id from messages where session_id = $1 limit 1',
    [sessionId],
  );
  const correction = { content: 'The user is called Grace.' };
  await patch('Operator', `/items/conversation_summaries/${summaryId}`, correction);
  const [revision] = await desk.sql.rows<{ id: string }>(
    `select id from directus.directus_revisions where collection = 'conversation_summaries'
       and item = $1`,
    [summaryId],
  );
  const [manual, webhook] = [await addFlow('manual'), await addFlow('webhook')];
  await eventually(async () => {
    const waiting = await desk.sql.rows(
      `select id from embeddings where state = 'pending'
         union all select message_id from unentered_messages`,
    );
    expect(waiting).toEqual([]);
  });
  const before = await contents();
  const viewer = desk.as('Viewer');
  const patched: [path: string, body: object][] = [
    [`/items/chat_sessions/${sessionId}`, { is_active: false }],
    [`/items/conversation_summaries/${summaryId}`, { content: 'Wrong' }],
    [`/items/messages/${message?.id}`, { content: 'Wrong' }],
    ['/items/embeddings', { query: { limit: -1 }, data: { importance: 0 } }],
    ['/items/turns', { query: { limit: -1 }, data: { state: 'failed' } }],
    ['/items/users', { query: { limit: -1 }, data: { access: 'blocked' } }],
    ['/users/me', { role: null, email: 'other@example.com' }],
    ['/settings', { project_name: 'Mine' }],
  ];
  const answers = [
    ...(await Promise.all(
      patched.map(([path, body]) => viewer.post(path, body, { method: 'PATCH' })),
    )),
    await viewer.post('/items/users', { id: 'new', access: 'approved' }),
    await viewer.post('/permissions', { policy: null, collection: 'messages', action: 'delete' }),
    await viewer.post('/flows', { name: 'mine', trigger: 'manual' }),
    await viewer.post(`/flows/${manual}`, { status: 'inactive' }, { method: 'PATCH' }),
    await viewer.post(`/flows/${manual}`, {}, { method: 'DELETE' }),
    await viewer.post(`/flows/trigger/${manual}`, { collection: 'messages', keys: [message?.id] }),
    await viewer.get(`/flows/trigger/${webhook}?id=${message?.id}`),
    await viewer.post('/operations', { name: 'mine', key: 'mine', type: 'log', flow: manual }),
    await viewer.post(`/utils/revert/${revision?.id}`, {}),
    await viewer.post(`/items/messages/${message?.id}`, {}, { method: 'DELETE' }),
    await viewer.post(`/items/messages`, [message?.id], { method: 'DELETE' }),
    await ask('Viewer', '/v1/chat/forget', { chat_id: 'watched' }),
    await ask('Viewer', '/v1/chats/watched/messages', { text: 'Wrong' }),
    await ask('Viewer', `/v1/sessions/${sessionId}/rebuild`),
  ];
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 403));
  // The panel itself refuses to ask the backend, which would refuse too.
  const asked = await ask('Viewer', `/v1/sessions/${sessionId}/rebuild`);
  expect(asked.body).toEqual({ code: 'operator_not_allowed' });

  const mutations = [
    `delete_messages_item(id: ${message?.id}) { id }`,
    `update_conversation_summaries_item(id: ${summaryId}, data: { content: "Wrong" }) { id }`,
    `create_users_item(data: { id: "new" }) { id }`,
  ];
  for (const mutation of mutations) {
    const { body } = await viewer.post<{ errors?: unknown[] }>('/graphql', {
      query: `mutation { ${mutation} }`,
    });
    expect(body.errors?.length).toBeGreaterThan(0);
  }
  const form = new FormData();
  const file = new Blob(['[{"id": "new", "access": "approved"}]'], { type: 'application/json' });
  form.append('file', file, 'users.json');
  const imported = await fetch(`${desk.url}/utils/import/users`, {
    method: 'POST',
    headers: { authorization: 'Bearer token-Viewer' },
    body: form,
  });
  expect(imported.status).toBe(403);
  expect(await contents()).toEqual(before);

  // The flows do what they were refused: whoever may act may run them.
  const keys = [message?.id];
  const ran = await desk
    .as('Operator')
    .post(`/flows/trigger/${manual}`, { collection: 'messages', keys });
  expect(ran.status).toBe(200);
  expect(await desk.sql.rows('select id from messages where id = $1', keys)).toEqual([]);
  for (const id of [manual, webhook]) {
    await desk.as('Administrator').post(`/flows/${id}`, {}, { method: 'DELETE' });
  }
  await exact();
});

test('nobody changes what PostgreSQL does not grant to the panel', async () => {
  const { body } = await say('granted', 'Hello');
  const path = `/items/turns/${body.turn_id}`;
  expect((await patch('Operator', path, { state: 'failed' })).status).toBe(403);
  expect((await patch('Administrator', path, { state: 'failed' })).status).toBe(403);
  const session = `/items/chat_sessions/${body.session_id}`;
  expect((await patch('Operator', session, { messages_since_summary: 0 })).status).toBe(403);
  const deleted = await desk.as('Administrator').post(session, {}, { method: 'DELETE' });
  expect(deleted.status).toBe(403);
  expect(
    await desk.sql.rows(`
      select table_name from information_schema.table_privileges
        where grantee = 'directus' and table_schema = 'public' and privilege_type not in ('SELECT', 'DELETE')
      union select nspname from pg_namespace where nspname = 'public'
        and has_schema_privilege('directus', oid, 'create')`),
  ).toEqual([]);
  await exact();
});

/** All that PostgreSQL knows of the backend's tables, as text. */
async function catalogue(): Promise<unknown> {
  return desk.sql.rows(`
    select 'column' as kind, string_agg(c::text, '' order by c::text) as all
      from information_schema.columns c where table_schema = 'public'
    union all select 'constraint', string_agg(pg_get_constraintdef(oid), '' order by oid)
      from pg_constraint where connamespace = 'public'::regnamespace
    union all select 'index', string_agg(indexdef, '' order by indexdef)
      from pg_indexes where schemaname = 'public'
    union all select 'trigger', string_agg(pg_get_triggerdef(t.oid), '' order by t.oid)
      from pg_trigger t join pg_class c on c.oid = t.tgrelid
      where c.relnamespace = 'public'::regnamespace and not tgisinternal`);
}

test('provisioning twice changes nothing; a drifted panel is mended, what is theirs is left', async () => {
  const before = await catalogue();
  expect(await desk.provision()).toBe('0 changes\n');

  const admin = desk.as('Administrator');
  const own = await admin.post<{ data: { id: string } }>('/dashboards', { name: 'Mine' });
  const mark = { collection: 'messages', bookmark: 'Mine', layout: 'tabular' };
  await admin.post('/presets', mark);
  await admin.post('/fields/messages/content', { meta: { note: 'Wrong' } }, { method: 'PATCH' });
  await admin.post('/settings', { project_name: 'Wrong' }, { method: 'PATCH' });
  const policies = await admin.get<{ data: { id: string; name: string }[] }>('/policies');
  const policy = policies.body.data.find(({ name }) => name === 'Viewer')?.id;
  await admin.post('/permissions', {
    policy,
    collection: 'messages',
    action: 'delete',
    fields: ['*'],
  });

  // What a panel knew of a foreign key that a migration has taken since.
  await desk.sql.rows(
    `insert into directus.directus_relations (many_collection, many_field, one_collection)
       values ('turns', 'user_message_id', 'messages')`,
  );

  const dry = await desk.provision('--dry-run');
  expect(dry).toMatch(/4 changes would be made\n$/);
  expect(await desk.provision()).toBe(dry.replace('4 changes would be made', '4 changes'));
  expect(await desk.provision()).toBe('0 changes\n');
  expect((await admin.get(`/dashboards/${own.body.data.id}`)).status).toBe(200);
  expect(JSON.stringify((await admin.get('/presets?limit=-1')).body)).toContain('"Mine"');
  expect(await catalogue()).toEqual(before);
});

test('a column that a migration adds is there after provisioning', async () => {
  await desk.sql.rows(`alter table messages add column mood text default 'calm'`);
  expect(await desk.provision()).toContain('1 changes\n');
  await desk.sql.rows('grant select (mood) on messages to directus');
  const admin = desk.as('Administrator');
  const field = await admin.get<{ data: object }>('/fields/messages/mood');
  expect(field.body.data).toMatchObject({ meta: { readonly: true, group: 'technical' } });
  const rows = await desk.as('Viewer').get<{ data: object[] }>('/items/messages?limit=1');
  expect(rows.body.data[0]).toMatchObject({ mood: 'calm' });
  await desk.sql.rows('alter table messages drop column mood');
});

test('the backend’s bookkeeping is none of the panel’s business', async () => {
  const { body } = await desk
    .as('Administrator')
    .get<{ data: { collection: string }[] }>('/collections');
  const names = body.data.map(({ collection }) => collection);
  expect(names.filter((name) => !name.startsWith('directus_')).toSorted()).toEqual([
    'chat_sessions',
    'conversation_summaries',
    'embeddings',
    'messages',
    'turns',
    'unentered_messages',
    'users',
  ]);
});

test('an upgrade of the panel touches no chat, and brings all of it back', async () => {
  expect(await desk.stopPanel()).toEqual({ code: 0, left: [] });
  const latest = () =>
    desk.sql.rows<{ version: string }>(
      'select version from directus.directus_migrations order by version desc limit 1',
    );
  const before = await latest();
  await desk.downgradePanel();
  expect(await latest()).not.toEqual(before);

  const upgrade = { isOver: false };
  const starting = desk.startPanel().finally(() => (upgrade.isOver = true));
  const chat = (n: number) => `meanwhile-${n}`;
  const statuses: number[] = [];
  while (!upgrade.isOver) statuses.push((await say(chat(statuses.length), 'Hello')).status);
  expect(await starting).toMatch(
    / {2}The operators' panel is ready at http:\/\/127\.0\.0\.1:\d+\/\n\n$/,
  );
  expect(new Set(statuses)).toEqual(new Set([200]));
  expect(await latest()).toEqual(before);
  expect(await desk.provision()).toBe('0 changes\n');
  expect((await ask('Operator', `/v1/chats/${chat(0)}/takeover`)).status).toBe(200);
  expect((await ask('Operator', `/v1/chats/${chat(0)}/handback`)).status).toBe(200);
});

test('with the backend gone the panel can still be read, and says what is wrong', async () => {
  await desk.stopBackend();
  const sessions = await desk.as('Viewer').get<{ data: object[] }>('/items/chat_sessions?limit=1');
  expect(sessions.body.data).toHaveLength(1);
  expect(await ask('Operator', '/v1/chats/held/takeover')).toMatchObject({
    status: 502,
    body: { code: 'backend_unreachable' },
  });
});
