import { createHash, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { serve } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import { streamSSE } from 'hono/streaming';

/** What the tests need of a server, whatever stands behind it. */
export interface ChatServer {
  url: string;
  close(): Promise<void>;
}

interface Turn {
  id: string;
  clientMessageId: string;
  userMessageId: string;
  replyMessageId: string | null;
  state: 'received' | 'answering' | 'answered' | 'failed' | 'cancelled';
  finishReason: 'stop' | 'cancelled';
  window: string[];
}

interface Message {
  id: string;
  role: 'user' | 'assistant';
  content: string;
  turnId: string;
  deliveryState: string | null;
}

interface Session {
  id: string;
  isActive: boolean;
  createdAt: string;
  messages: Message[];
  turns: Turn[];
}

interface Chat {
  sessions: Session[];
  queue: Promise<unknown>;
  running: AbortController | undefined;
}

/**
 * The API the page is written against, in memory. Its model repeats what follows "Repeat: ",
 * counts for twenty seconds at "Count slowly", and otherwise says one sentence.
 */
export async function startStubChatServer(): Promise<ChatServer> {
  const page = await readFile(new URL('../public/index.html', import.meta.url), 'utf8');
  const app = createApp(page);
  const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' });
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('No port was given');
  return {
    url: `http://127.0.0.1:${address.port}`,
    close: () => {
      if ('closeAllConnections' in server) server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function createApp(page: string): Hono {
  const app = new Hono();
  const chats = new Map<string, Chat>();
  let lastMessageId = 0;
  const nextMessageId = () => String(++lastMessageId);

  app.get('/', (c) =>
    c.html(page, 200, { 'content-security-policy': contentSecurityPolicy(page) }),
  );

  app.post('/v1/chat/handle', async (c) => {
    const body = await c.req.json<{ chat_id: string; text: string; message_id: string }>();
    const chat = chats.get(body.chat_id) ?? newChat();
    chats.set(body.chat_id, chat);
    const session = activeSession(chat);
    const turn = openTurn(session, body, nextMessageId);

    return streamSSE(c, async (stream) => {
      const emit = (event: string, data: object) =>
        stream.writeSSE({ event, data: JSON.stringify(data) });
      await emit('accepted', { turn_id: turn.id, session_id: session.id });
      const previous = chat.queue;
      const { promise: done, resolve: release } = Promise.withResolvers<void>();
      chat.queue = done;
      await previous;

      if (turn.state === 'answered') {
        release();
        return emit('message', { ...answerOf(turn, session), replayed: true });
      }
      const abort = new AbortController();
      chat.running = abort;
      turn.state = 'answering';
      let text = '';
      for (const word of wordsOf(body.text)) {
        await sleep(50, undefined, { signal: abort.signal }).catch(() => undefined);
        if (abort.signal.aborted) break;
        text += word;
        await emit('delta', { text: word });
      }
      chat.running = undefined;
      if (text === '') {
        turn.state = 'cancelled';
        release();
        return emit('error', problem(409, 'turn_cancelled', 'The answer was stopped'));
      }
      turn.state = 'answered';
      if (abort.signal.aborted) turn.finishReason = 'cancelled';
      turn.replyMessageId = nextMessageId();
      session.messages.push({
        id: turn.replyMessageId,
        role: 'assistant',
        content: text,
        turnId: turn.id,
        deliveryState: 'pending',
      });
      release();
      return emit('message', answerOf(turn, session));
    });
  });

  app.post('/v1/chat/reset', async (c) => {
    const { chat_id: id } = await c.req.json<{ chat_id: string }>();
    const open = chats.get(id)?.sessions.filter(({ isActive }) => isActive) ?? [];
    for (const session of open) session.isActive = false;
    return c.json({ status: 'ok', reset_sessions: open.length });
  });

  app.post('/v1/chat/cancel', async (c) => {
    const { chat_id: id } = await c.req.json<{ chat_id: string }>();
    const running = chats.get(id)?.running;
    running?.abort();
    return c.json({ status: 'ok', cancelled_turns: running ? 1 : 0 });
  });

  app.get('/v1/turns/:id/context', (c) => {
    const turns = [...chats.values()].flatMap(({ sessions }) => sessions.flatMap((s) => s.turns));
    const turn = turns.find(({ id }) => id === c.req.param('id'));
    return turn ? c.json(contextOf(turn)) : notFound(c);
  });

  app.get('/v1/chats/:id/export', (c) => {
    const chat = chats.get(c.req.param('id'));
    return chat ? c.json({ chat_id: c.req.param('id'), ...exportOf(chat) }) : notFound(c);
  });

  app.post('/v1/deliveries/:id', async (c) => {
    const { state } = await c.req.json<{ state: string }>();
    for (const { sessions } of chats.values()) {
      const message = sessions
        .flatMap((session) => session.messages)
        .find(({ id }) => id === c.req.param('id'));
      if (message) message.deliveryState = state;
    }
    return c.json({ status: 'ok' });
  });

  return app;
}

function contentSecurityPolicy(page: string): string {
  const hashOf = (tag: string) => {
    const [, content = ''] = new RegExp(`<${tag}[^>]*>([^]*)</${tag}>`).exec(page) ?? [];
    return `'sha256-${createHash('sha256').update(content).digest('base64')}'`;
  };
  return [
    "default-src 'none'",
    `style-src ${hashOf('style')}`,
    `script-src ${hashOf('script')}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
}

function newChat(): Chat {
  return { sessions: [], queue: Promise.resolve(), running: undefined };
}

function activeSession(chat: Chat): Session {
  const open = chat.sessions.find(({ isActive }) => isActive);
  if (open) return open;
  const createdAt = new Date().toISOString();
  const session = { id: randomUUID(), isActive: true, createdAt, messages: [], turns: [] };
  chat.sessions.push(session);
  return session;
}

function openTurn(
  session: Session,
  body: { text: string; message_id: string },
  nextMessageId: () => string,
): Turn {
  const known = session.turns.find((turn) => turn.clientMessageId === body.message_id);
  if (known) return known;
  const turn: Turn = {
    id: randomUUID(),
    clientMessageId: body.message_id,
    userMessageId: nextMessageId(),
    replyMessageId: null,
    state: 'received',
    finishReason: 'stop',
    window: session.messages.map(({ id }) => id),
  };
  session.turns.push(turn);
  session.messages.push({
    id: turn.userMessageId,
    role: 'user',
    content: body.text,
    turnId: turn.id,
    deliveryState: null,
  });
  return turn;
}

function answerOf(turn: Turn, session: Session) {
  const reply = session.messages.find(({ id }) => id === turn.replyMessageId);
  return {
    text: reply?.content,
    type: 'message',
    session_id: session.id,
    turn_id: turn.id,
    reply_message_id: turn.replyMessageId,
    replayed: false,
    delivery: reply?.deliveryState,
  };
}

function wordsOf(text: string): string[] {
  if (text === 'Count slowly') return Array.from({ length: 400 }, (_, n) => `${n} `);
  const [, repeated] = /^Repeat: ([^]*)$/.exec(text) ?? [];
  return (repeated ?? 'Noted. Ask me about it whenever you like.').match(/\S+\s*/g) ?? [];
}

function contextOf(turn: Turn) {
  return {
    turn_id: turn.id,
    state: turn.state,
    model: 'stub-model',
    finish_reason: turn.finishReason,
    latency_ms: 640,
    attempts: 1,
    error: null,
    tokens: { prompt: 48 + turn.window.length * 20, completion: 12 },
    cost_usd: null,
    context: {
      instruction: { tokens: 40 },
      summary: null,
      window: {
        first_message_id: turn.window.at(0) ?? null,
        last_message_id: turn.window.at(-1) ?? null,
        messages: turn.window.length,
        tokens: turn.window.length * 20,
      },
      recalled: [],
      left_out: { messages: 0, unanswered_messages: 0, memories: 0 },
      message: { tokens: 8 },
      prompt_tokens_estimated: 48 + turn.window.length * 20,
      token_budget: 8000,
      notes: [],
    },
  };
}

function exportOf(chat: Chat) {
  return {
    exported_at: new Date().toISOString(),
    sessions: chat.sessions.map((session) => ({
      id: session.id,
      is_active: session.isActive,
      created_at: session.createdAt,
      closed_at: session.isActive ? null : session.createdAt,
      messages: session.messages.map(({ id, role, content, turnId, deliveryState }) => ({
        id,
        role,
        content,
        created_at: session.createdAt,
        author: null,
        delivery_state: deliveryState,
        turn_id: turnId,
      })),
      summaries: [],
      turns: session.turns.map((turn) => ({
        id: turn.id,
        state: turn.state,
        client_message_id: turn.clientMessageId,
        user_message_id: turn.userMessageId,
        reply_message_id: turn.replyMessageId,
      })),
    })),
  };
}

function problem(status: number, code: string, title: string) {
  return { type: `urn:problem:${code}`, title, status, detail: title, code, request_id: 'stub' };
}

function notFound(c: Context) {
  const body = JSON.stringify(problem(404, 'not_found', 'There is no such resource'));
  return c.body(body, 404, { 'content-type': 'application/problem+json' });
}
