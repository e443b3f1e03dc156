import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Validator } from '@seriousme/openapi-schema-validator';
import * as fc from 'fast-check';
import { Agent, request } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { clientOf, openSql, startApi } from '#test/api.ts';
import type { Answer, Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';

type Api = Awaited<ReturnType<typeof startApi>>;

let databaseUrl: string;
let model: FakeModel;
let sql: Sql;
let api: Api;
let documented: Map<string, string[]>;

beforeAll(async () => {
  ({ url: databaseUrl } = await createTestDatabase());
  model = await startFakeModel();
  sql = openSql(databaseUrl);
  api = await startApi({ databaseUrl, modelUrl: model.url });
  documented = await readDocumented();
});

afterEach(() => {
  model.behave({ kind: 'reply' });
});

afterAll(async () => {
  await api.close();
  await sql.close();
  await model.close();
});

const HANDLE = 'POST /v1/chat/handle';
const valid = { user_id: 'ada', chat_id: 'ada', text: 'Hi' };

test('the document is valid OpenAPI 3.1', async () => {
  const { body } = await api.get('/openapi.json');
  expect(body.openapi).toMatch(/^3\.1\./);
  const { valid: isValid, errors } = await new Validator().validate(body);
  expect(errors ?? []).toEqual([]);
  expect(isValid).toBe(true);
});

describe('a body that cannot be used', () => {
  test.each([
    ['malformed JSON', '{"user_id": ', 400, 'malformed_json'],
    ['nothing', '', 400, 'malformed_json'],
    ['invalid UTF-8', '\u{fffd}\u{0}', 400, 'malformed_json'],
    ['an array', '[]', 422, 'validation_failed'],
    ['a string', '"text"', 422, 'validation_failed'],
    ['null', 'null', 422, 'validation_failed'],
    ['no fields', '{}', 422, 'validation_failed'],
    ['a prototype for a field', '{"__proto__": {"text": "x"}}', 422, 'validation_failed'],
    [
      'raw lone surrogates',
      '{"user_id":"a","chat_id":"b","text":"\\ud800"}',
      422,
      'validation_failed',
    ],
    ['an escaped NUL', '{"user_id":"a\\u0000","chat_id":"b","text":"c"}', 422, 'validation_failed'],
  ])('%s', async (_, body, status, code) => {
    const answer = await api.post('/v1/chat/handle', body);
    expectProblem(HANDLE, answer, status, code);
  });

  test.each([
    ['user_id', 12345],
    ['user_id', null],
    ['user_id', ''],
    ['user_id', 'x'.repeat(129)],
    ['user_id', 'a\0b'],
    ['chat_id', ['a']],
    ['chat_id', { a: 1 }],
    ['chat_id', '\udc00'],
    ['chat_id', 'x'.repeat(129)],
    ['text', true],
    ['text', ''],
    ['text', ' \n\t\u{a0}\u{2003}'],
    ['text', 'x'.repeat(32_001)],
    ['text', 'a\0b'],
    ['text', 'half \ud83d of a pair'],
    ['message_id', 1],
    ['message_id', ''],
    ['message_id', 'x'.repeat(129)],
    ['channel', 'x'.repeat(33)],
  ])('a wrong %s is named: %j', async (field, value) => {
    const answer = await api.post('/v1/chat/handle', { ...valid, [field]: value });
    expectProblem(HANDLE, answer, 422, 'validation_failed');
    expect(answer.body.errors).toEqual([{ path: field, message: expect.any(String) }]);
  });

  test('larger than 256 KiB', async () => {
    const text = JSON.stringify({ ...valid, more: 'x'.repeat(256 * 1024) });
    expectProblem(HANDLE, await api.post('/v1/chat/handle', text), 413, 'body_too_large');
    const chunked = await send('POST', '/v1/chat/handle', json, chunksOf(text));
    expectProblem(HANDLE, chunked, 413, 'body_too_large');
    expect((await api.handle(valid)).status).toBe(200);
  });

  test.each(['/v1/chat/handle', '/nothing'])(
    'a large one that is refused at %s leaves the caller’s next calls alone',
    async (path) => {
      const dispatcher = new Agent({ connections: 1 });
      const body = 'x'.repeat(400 * 1024);
      const refused = await request(api.url + path, {
        method: 'POST',
        headers: json,
        body,
        dispatcher,
      });
      await refused.body.dump();
      expect([404, 413]).toContain(refused.statusCode);
      for (let call = 0; call < 40; call += 1) {
        const next = await request(`${api.url}/openapi.json`, { dispatcher });
        await next.body.dump();
        expect(next.statusCode).toBe(200);
        await sleep(20);
      }
      await dispatcher.close();
    },
  );

  test.each([
    ['no content type', {}],
    ['plain text', { 'content-type': 'text/plain' }],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['a type that only looks like JSON', { 'content-type': 'text/plain; application/json' }],
  ])('%s', async (_, headers) => {
    const answer = await send('POST', '/v1/chat/handle', headers, [JSON.stringify(valid)]);
    expectProblem(HANDLE, answer, 415, 'unsupported_media_type');
  });
});

describe('what is at the limit', () => {
  const hostile = [
    "'; drop table turns; --",
    '%',
    '%00',
    '../..',
    '"',
    '\\',
    '🙂',
    '\u{202e}',
    '$1',
    '{}',
    'a b\n',
  ];
  test.each([...hostile, 'x'.repeat(128), '🙂'.repeat(64), '字'.repeat(128)])(
    'the id %j',
    async (id) => {
      const message = { user_id: id, chat_id: id, message_id: id, channel: 'limits', text: id };
      const { status, body } = await api.handle(message);
      expect(status, JSON.stringify(body)).toBe(200);
      expect((await api.handle(message)).body).toEqual({ ...body, replayed: true });
      expect((await api.get(`/v1/turns/${body.turn_id}/context`)).body.chat_id).toBe(id);
      const exported = await api.get(`/v1/chats/${encodeURIComponent(id)}/export`);
      expect(exported).toMatchObject({ status: 200, body: { chat_id: id } });
      expect(await api.post('/v1/chat/cancel', { chat_id: id })).toMatchObject({ status: 200 });
      expect(await api.post('/v1/chat/reset', { chat_id: id })).toMatchObject({
        body: { reset_sessions: 1 },
      });
      expect(await api.post('/v1/chat/forget', { user_id: id })).toMatchObject({
        body: { deleted: { chat_sessions: 1, messages: 2, turns: 1 } },
      });
    },
  );

  test('a text of 32,000 characters, also where each takes the most bytes', async () => {
    for (const text of ['x'.repeat(32_000), '字'.repeat(32_000), '🙂'.repeat(16_000)]) {
      const { status, body } = await api.handle({ chat_id: 'long', text });
      expect(status, body.code).toBe(200);
    }
  });
});

describe('other routes', () => {
  const rejected: [string, string, unknown, number, string][] = [
    ['POST /v1/chat/reset', '/v1/chat/reset', {}, 422, 'validation_failed'],
    [
      'POST /v1/chat/reset',
      '/v1/chat/reset',
      { chat_id: 'a', session_id: '0' },
      422,
      'validation_failed',
    ],
    [
      'POST /v1/chat/reset',
      '/v1/chat/reset',
      { chat_id: 'a', session_id: '3b241101-e2bb-4255-8caf-4136c566a962' },
      422,
      'validation_failed',
    ],
    [
      'POST /v1/chat/reset',
      '/v1/chat/reset',
      { session_id: 'not a uuid' },
      422,
      'validation_failed',
    ],
    ['POST /v1/chat/cancel', '/v1/chat/cancel', {}, 422, 'validation_failed'],
    ['POST /v1/chat/forget', '/v1/chat/forget', {}, 422, 'validation_failed'],
    [
      'POST /v1/chat/forget',
      '/v1/chat/forget',
      { chat_id: 'a', user_id: 'b' },
      422,
      'validation_failed',
    ],
    ['POST /v1/chat/forget', '/v1/chat/forget', '{', 400, 'malformed_json'],
    [
      'POST /v1/deliveries/{message_id}',
      '/v1/deliveries/1',
      { state: 'lost' },
      422,
      'validation_failed',
    ],
    [
      'POST /v1/deliveries/{message_id}',
      '/v1/deliveries/x',
      { state: 'sent' },
      422,
      'validation_failed',
    ],
    [
      'POST /v1/deliveries/{message_id}',
      '/v1/deliveries/999999999999999999',
      { state: 'sent' },
      404,
      'not_found',
    ],
    ['GET /v1/turns/{turn_id}/context', '/v1/turns/999999/context', undefined, 404, 'not_found'],
    [
      'GET /v1/turns/{turn_id}/context',
      '/v1/turns/-1/context',
      undefined,
      422,
      'validation_failed',
    ],
    [
      'GET /v1/turns/{turn_id}/context',
      `/v1/turns/${'9'.repeat(30)}/context`,
      undefined,
      422,
      'validation_failed',
    ],
    ['GET /v1/chats/{chat_id}/export', '/v1/chats/nobody/export', undefined, 404, 'not_found'],
    ['GET /v1/chats/{chat_id}/export', '/v1/chats/%00/export', undefined, 422, 'validation_failed'],
    [
      'GET /v1/chats/{chat_id}/export',
      `/v1/chats/${'x'.repeat(129)}/export`,
      undefined,
      422,
      'validation_failed',
    ],
    ['GET /v1/chats/{chat_id}/export', '/v1/chats/%ff/export', undefined, 404, 'not_found'],
    ...['messages', 'takeover', 'handback'].flatMap((act): typeof rejected => {
      const [route, body] = [`POST /v1/chats/{chat_id}/${act}`, { text: 'Hi' }];
      return [
        [route, `/v1/chats/nobody/${act}`, body, 404, 'not_found'],
        [route, `/v1/chats/%00/${act}`, body, 422, 'validation_failed'],
      ];
    }),
    ...[{}, { text: '' }, { text: 'a\0b' }, { text: 'x'.repeat(32_001) }, []].map(
      (body): (typeof rejected)[number] => [
        'POST /v1/chats/{chat_id}/messages',
        '/v1/chats/nobody/messages',
        body,
        422,
        'validation_failed',
      ],
    ),
    ...['summarize', 'rebuild'].flatMap((act): typeof rejected => [
      [
        `POST /v1/sessions/{session_id}/${act}`,
        `/v1/sessions/3b241101-e2bb-4255-8caf-4136c566a962/${act}`,
        {},
        404,
        'not_found',
      ],
      [
        `POST /v1/sessions/{session_id}/${act}`,
        `/v1/sessions/1/${act}`,
        {},
        422,
        'validation_failed',
      ],
    ]),
    ['POST /v1/turns/{turn_id}/retry', '/v1/turns/999999/retry', {}, 404, 'not_found'],
    ['POST /v1/turns/{turn_id}/retry', '/v1/turns/x/retry', {}, 422, 'validation_failed'],
    ['POST /v1/deliveries/{message_id}/retry', '/v1/deliveries/999999/retry', {}, 404, 'not_found'],
    [
      'POST /v1/deliveries/{message_id}/retry',
      '/v1/deliveries/x/retry',
      {},
      422,
      'validation_failed',
    ],
    [
      'GET /v1/users/{user_id}/footprint',
      '/v1/users/%00/footprint',
      undefined,
      422,
      'validation_failed',
    ],
    ['GET /v1/deliveries', '/v1/deliveries?wait=x', undefined, 422, 'validation_failed'],
    ['GET /v1/deliveries', '/v1/deliveries?wait=61', undefined, 422, 'validation_failed'],
    ['GET /v1/deliveries', '/v1/deliveries?channel=%00', undefined, 422, 'validation_failed'],
  ];
  test.each(rejected)('%s: %s %j', async (route, path, body, status, code) => {
    const answer = route.startsWith('GET') ? await api.get(path) : await api.post(path, body);
    expectProblem(route, answer, status, code);
  });

  test.each([
    ['GET', '/v1/chat/handle'],
    ['PUT', '/v1/chat/handle'],
    ['DELETE', '/v1/chats/a/export'],
    ['OPTIONS', '/v1/chat/handle'],
    ['PROPFIND', '/v1/chat/handle'],
    ['GET', '/nothing'],
    ['GET', '/v1'],
    ['GET', '/%'],
    ['GET', '/..%2f..%2fetc/passwd'],
    ['GET', '//'],
    ['POST', '/'],
  ])('%s %s is not there', async (method, path) => {
    const body = method === 'POST' ? ['{}'] : [];
    expectProblem(undefined, await send(method, path, json, body), 404, 'not_found');
  });
});

describe('failures while answering', () => {
  test.each([
    [{ kind: 'status', status: 400 } as const, 502, 'model_failed'],
    [{ kind: 'empty' } as const, 502, 'model_failed'],
  ])('%j', async (behaviour, status, code) => {
    model.behave(behaviour);
    const answer = await api.post('/v1/chat/handle', { ...valid, chat_id: code });
    expectProblem(HANDLE, answer, status, code);
  });

  test('the same message id with other words, and a reply that was deleted', async () => {
    const message = { ...valid, chat_id: 'repeat', message_id: 'm-1' };
    const { body } = await api.handle(message);
    const other = await api.post('/v1/chat/handle', { ...message, text: 'Ho' });
    expectProblem(HANDLE, other, 422, 'idempotency_mismatch');
    await api.post(`/v1/deliveries/${body.reply_message_id}`, { state: 'sent' });
    const conflict = await api.post(`/v1/deliveries/${body.reply_message_id}`, {
      state: 'sending',
    });
    expectProblem('POST /v1/deliveries/{message_id}', conflict, 409, 'delivery_conflict');
    await sql.rows('delete from messages where id = $1', [body.reply_message_id]);
    expectProblem(HANDLE, await api.post('/v1/chat/handle', message), 410, 'reply_deleted');
  });

  test('a defect is an opaque 500 that names nothing of the inside', async () => {
    await api.handle({ ...valid, chat_id: 'defect' });
    await sql.rows('alter table embeddings rename to hidden');
    try {
      const answer = await api.get('/v1/chats/defect/export');
      expectProblem('GET /v1/chats/{chat_id}/export', answer, 500, 'internal_error');
      expect(JSON.stringify(answer.body)).not.toContain('embeddings');
    } finally {
      await sql.rows('alter table hidden rename to embeddings');
    }
  });
});

describe('without a key', () => {
  test.each([
    'evil.example',
    'evil.example:8080',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '127.0.0.1@evil.example',
    '10.0.0.1',
    '[::2]',
  ])('the foreign host name %s is refused everywhere', async (host) => {
    for (const path of ['/', '/openapi.json', '/v1/chats/a/export', '/v1/deliveries']) {
      const answer = await send('GET', path, { host });
      expect(answer.status, path).toBeGreaterThanOrEqual(400);
      expect(answer.status, path).toBeLessThan(500);
      expectProblem(undefined, answer, answer.status, String(answer.body.code));
    }
    const answer = await send('POST', '/v1/chat/handle', { ...json, host }, [
      JSON.stringify(valid),
    ]);
    expect([400, 403]).toContain(answer.status);
  });

  test.each(['localhost', 'localhost:1234', '127.0.0.1', '127.1.2.3:80', '[::1]:8080'])(
    'the local host name %s is served',
    async (host) => {
      expect((await send('GET', '/openapi.json', { host })).status).toBe(200);
    },
  );

  test.each(['a b', 'a/b', 'a?b', 'localhost:99999', '[::1', '%00', 'localhost\\@x'])(
    'the impossible host name %j is a problem',
    async (host) => {
      const answer = await send('GET', '/openapi.json', { host });
      expect(answer.status).toBeLessThan(500);
      expectProblem(undefined, answer, answer.status, String(answer.body.code));
    },
  );
});

describe('with keys', () => {
  let guarded: Api;
  beforeAll(async () => {
    const env = { API_KEY: 'first-key, second-key' };
    guarded = await startApi({ databaseUrl, modelUrl: model.url, env });
  });
  afterAll(async () => {
    await guarded.close();
  });

  test('everything but the health check and the page needs one', async () => {
    for (const [route] of documented) {
      const [method = '', path = ''] = route.split(' ');
      if (path === '/health') continue;
      const filled = path.replaceAll(/\{\w+\}/g, '1');
      const answer =
        method === 'GET' ? await guarded.get(filled) : await guarded.post(filled, valid);
      expectProblem(route, answer, 401, 'unauthorized');
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    }
    expectProblem(undefined, await guarded.get('/openapi.json'), 401, 'unauthorized');
    expectProblem(undefined, await guarded.get('/nothing'), 401, 'unauthorized');
    expect((await guarded.get('/health')).status).toBe(200);
    expect((await guarded.get('/')).status).toBe(200);
  });

  test.each([
    ['Bearer first-key', 200],
    ['Bearer second-key', 200],
    ['bearer  second-key', 200],
    ['Bearer third-key', 401],
    ['Bearer first-key, second-key', 401],
    ['Bearer first', 401],
    ['Bearer ', 401],
    ['Bearer', 401],
    ['first-key', 401],
    ['Basic first-key', 401],
    ['Bearer first-keyé', 401],
  ])('%j: %i', async (authorization, status) => {
    const answer = await clientOf(guarded.url, { authorization }).get('/v1/deliveries');
    expect(answer.status).toBe(status);
  });
});

test('no input to handle makes a 500', async () => {
  const anything = fc.oneof(
    fc.jsonValue(),
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.constantFrom('a\0', '\ud800', '\u{10ffff}', '\u{feff}', 'x'.repeat(128), '__proto__'),
  );
  const body = fc.record(
    {
      user_id: anything,
      chat_id: anything,
      text: anything,
      message_id: anything,
      channel: anything,
      extra: anything,
    },
    { requiredKeys: [] },
  );
  await fc.assert(
    fc.asyncProperty(fc.oneof(body, fc.jsonValue()), async (input) => {
      const answer = await api.post('/v1/chat/handle', input);
      if (answer.status !== 200) {
        expectProblem(HANDLE, answer, answer.status, String(answer.body.code));
      }
      expect(answer.status).toBeLessThan(500);
    }),
    { numRuns: 200 },
  );
  const strings = fc.record({
    user_id: fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }),
    chat_id: fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }),
    text: fc.string({ unit: 'binary', minLength: 1 }),
  });
  await fc.assert(
    fc.asyncProperty(strings, async (input) => {
      const { status } = await api.post('/v1/chat/handle', input);
      expect([200, 422]).toContain(status);
    }),
    { numRuns: 100 },
  );
}, 60_000);

test('no input to any other route makes a 500, and each answers only what is documented', async () => {
  const known = { chat_id: 'known', user_id: 'known', text: 'Hi' };
  const { body } = await api.handle(known);
  const value = fc.oneof(
    fc.constantFrom('known', '1', '0', '9'.repeat(18), 'x'.repeat(129), '\0', '%', '/', "';--"),
    fc.constantFrom(body.session_id, body.turn_id, body.reply_message_id),
    fc
      .string({ unit: 'binary', minLength: 1, maxLength: 40 })
      // A URL would resolve them before they are sent.
      .filter((text) => text.isWellFormed() && !/^\.+$/.test(text)),
  );
  const input = fc.record(
    {
      chat_id: value,
      user_id: value,
      session_id: value,
      text: value,
      query: value,
      state: fc.constantFrom('pending', 'sending', 'sent', 'uncertain', 'failed', 'x'),
      pairing_code: value,
    },
    { requiredKeys: [] },
  );
  const routes = [...documented.keys()].filter((route) => !/health|metrics|handle/.test(route));
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...routes),
      value,
      fc.oneof(input, fc.jsonValue()),
      async (route, parameter, content) => {
        const [method = '', pattern = ''] = route.split(' ');
        const path = pattern.replaceAll(/\{\w+\}/g, () => encodeURIComponent(parameter));
        const answer = method === 'GET' ? await api.get(path) : await api.post(path, content);
        if (answer.status < 300) return;
        expectProblem(route, answer, answer.status, String(answer.body['code']));
        expect(answer.status).toBeLessThan(500);
      },
    ),
    { numRuns: 400 },
  );
}, 60_000);

const json = { 'content-type': 'application/json' };

/** RFC 9457 with our code, and documented where the route is. */
function expectProblem(
  route: string | undefined,
  { status, body, headers }: Answer<Record<string, unknown>>,
  expectedStatus: number,
  code: string,
) {
  expect(body).toMatchObject({
    status: expectedStatus,
    code,
    type: expect.any(String),
    title: expect.any(String),
    detail: expect.any(String),
    request_id: expect.any(String),
  });
  expect(status).toBe(expectedStatus);
  expect(headers.get('content-type')).toBe('application/problem+json');
  if (route !== undefined) expect(documented.get(route)).toContain(`${status} ${code}`);
}

/** The problems that the document lists, as `status code`, by `METHOD /path`. */
async function readDocumented(): Promise<Map<string, string[]>> {
  const { body } = await api.get<{
    paths: Record<string, Record<string, { responses: Record<string, { description: string }> }>>;
  }>('/openapi.json');
  const routes = new Map<string, string[]>();
  for (const [path, methods] of Object.entries(body.paths)) {
    for (const [method, { responses }] of Object.entries(methods)) {
      const listed = Object.entries(responses).flatMap(([status, { description }]) =>
        [...description.matchAll(/`(\w+)`/g)].map(([, code]) => `${status} ${code}`),
      );
      routes.set(`${method.toUpperCase()} ${path}`, listed);
    }
  }
  return routes;
}

/** Written to the socket as it is: `fetch` would refuse or repair much of what is tested here. */
async function send(
  method: string,
  path: string,
  headers: Record<string, string> = {},
  chunks: string[] = [],
): Promise<Answer<Record<string, unknown>>> {
  const { hostname, port, host } = new URL(api.url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  const lines = Object.entries({ host, connection: 'close', ...headers });
  const framing = chunks.length > 0 ? 'transfer-encoding: chunked\r\n' : '';
  socket.write(
    `${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}${framing}\r\n`,
  );
  let answer = '';
  socket.setEncoding('utf8').on('data', (text) => (answer += String(text)));
  socket.on('error', () => {});
  const closed = once(socket, 'close');
  for (const chunk of chunks) {
    socket.write(`${Buffer.byteLength(chunk).toString(16)}\r\n${chunk}\r\n`);
  }
  if (chunks.length > 0) socket.write('0\r\n\r\n');
  await closed;
  const [head = '', ...rest] = answer.split('\r\n\r\n');
  const text = rest.join('\r\n\r\n');
  const found = /\{.*\}/s.exec(text)?.[0] ?? '{}';
  const fields = head
    .split('\r\n')
    .slice(1)
    .map((line) => line.split(/: ?(.*)/s).slice(0, 2));
  return {
    status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]),
    body: JSON.parse(found),
    headers: new Headers(fields.map(([name = '', value = '']): [string, string] => [name, value])),
  };
}

function chunksOf(text: string): string[] {
  return text.match(/.{1,16384}/gs) ?? [];
}
