import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MessageEntity, Update } from 'grammy/types';
import { checkMessage, readPayload } from './fake-telegram-payload.ts';
import type { Payload } from './fake-telegram-payload.ts';

export const TOKEN = '123456:TEST-token_of-the-fake';
export const ME = {
  id: 123_456,
  is_bot: true,
  first_name: 'Memo',
  username: 'memo_bot',
  can_join_groups: true,
  can_read_all_group_messages: false,
};

/** A message of the bot's as people see it. */
export interface ShownMessage {
  messageId: number;
  chatId: number;
  threadId: number | undefined;
  text: string;
  entities: MessageEntity[];
  payload: Payload;
  edits: number;
  deleted: boolean;
}

/** What happens to one call. Without any, it is done at once. */
export interface Trouble {
  delayMs?: number;
  /** The socket is dropped before or after the call is carried out. */
  drop?: 'before' | 'after';
  /** Answered with this error, and not carried out unless `carriedOut`. */
  status?: number;
  retryAfter?: number;
  description?: string;
  carriedOut?: boolean;
}

export interface FakeTelegram {
  root: string;
  /** Everything the bot ever sent that stored a message, in order. */
  shown: ShownMessage[];
  calls: { method: string; payload: Payload; at: number }[];
  /** Updates that the bot has not confirmed. */
  queue: Update[];
  /** Updates count as confirmed as soon as they are handed out: what a careless bot would do. */
  confirmEarly: boolean;
  trouble: (method: string, payload: Payload) => Trouble | undefined;
  push(update: Omit<Update, 'update_id'>): Update;
  /** Messages of the bot that stand in a chat now. */
  visible(chatId: number): ShownMessage[];
  nextMessageId(): number;
  close(): Promise<void>;
}

const MAX_UPDATES = 100;

/** A Bot API server for tests, on 127.0.0.1. What it holds survives every crash of the bot. */
export async function startFakeTelegram(): Promise<FakeTelegram> {
  let messageIds = 0;
  let updateIds = 700_000;
  let poller: (() => void) | undefined;
  let news = Promise.withResolvers<void>();

  const fake: FakeTelegram = {
    root: '',
    shown: [],
    calls: [],
    queue: [],
    confirmEarly: false,
    trouble: () => undefined,
    nextMessageId: () => (messageIds += 1),
    push(content) {
      const update = { update_id: (updateIds += 1), ...content };
      fake.queue.push(update);
      news.resolve();
      news = Promise.withResolvers();
      return update;
    },
    visible: (chatId) => fake.shown.filter((m) => m.chatId === chatId && !m.deleted),
    async close() {
      const closed = new Promise((resolve) => {
        server.close(resolve);
      });
      server.closeAllConnections();
      await closed;
    },
  };

  const server = createServer((req, res) => {
    void serve(req, res).catch((error: unknown) => {
      res.destroy(error instanceof Error ? error : undefined);
    });
  });

  async function serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const payload = await readPayload(req);
    const [, token, method = ''] = /^\/bot([^/]+)\/(\w+)$/.exec(req.url ?? '') ?? [];
    if (token !== TOKEN) return refuse(res, 401, 'Unauthorized');
    fake.calls.push({ method, payload, at: Date.now() });
    if (method === 'getUpdates') return await getUpdates(res, payload);
    const trouble = fake.trouble(method, payload);
    if (trouble?.delayMs !== undefined) await sleep(trouble.delayMs);
    if (trouble?.drop === 'before') return void res.destroy();
    if (trouble?.status !== undefined && !trouble.carriedOut) return refuseAs(res, trouble);
    const result = carryOut(method, payload);
    if (trouble?.drop === 'after') return void res.destroy();
    if (trouble?.status !== undefined) return refuseAs(res, trouble);
    if ('refusal' in result) return refuse(res, 400, `Bad Request: ${result.refusal}`);
    reply(res, 200, { ok: true, result: result.value });
  }

  async function getUpdates(
    res: ServerResponse,
    { offset = 0, limit = MAX_UPDATES, timeout = 0 }: Payload,
  ): Promise<void> {
    poller?.();
    fake.queue = fake.queue.filter((update) => update.update_id >= offset);
    const replaced = Promise.withResolvers<'replaced'>();
    const gone = new Promise((resolve) => {
      res.once('close', resolve);
    });
    poller = () => replaced.resolve('replaced');
    const mine = poller;
    if (fake.queue.length === 0 && timeout > 0) {
      const waits = [news.promise, replaced.promise, gone, sleep(timeout * 1_000)];
      const ended = await Promise.race(waits);
      if (ended === 'replaced') return refuse(res, 409, 'Conflict: terminated by other getUpdates');
    }
    if (poller === mine) poller = undefined;
    if (res.destroyed) return;
    const result = fake.queue.slice(0, limit);
    if (fake.confirmEarly) fake.queue = fake.queue.slice(result.length);
    reply(res, 200, { ok: true, result });
  }

  function carryOut(method: string, payload: Payload): { value: unknown } | { refusal: string } {
    switch (method) {
      case 'getMe':
        return { value: ME };
      case 'getChatMember':
        return { value: { status: Number(payload.user_id) === 1 ? 'administrator' : 'member' } };
      case 'sendMessage':
      case 'sendDocument':
        return sendMessage(payload);
      case 'editMessageText':
        return editMessage(payload);
      case 'deleteMessage': {
        const message = findShown(payload);
        if (message === undefined) return { refusal: 'message to delete not found' };
        message.deleted = true;
        return { value: true };
      }
      case 'sendMessageDraft': {
        const refusal = checkMessage(payload);
        return refusal === undefined ? { value: true } : { refusal };
      }
      default:
        return { value: true };
    }
  }

  function sendMessage(payload: Payload): { value: object } | { refusal: string } {
    const refusal = payload.document === undefined ? checkMessage(payload) : undefined;
    if (refusal !== undefined) return { refusal };
    const message: ShownMessage = {
      messageId: fake.nextMessageId(),
      chatId: Number(payload.chat_id),
      threadId: payload.message_thread_id,
      text: payload.text ?? payload.caption ?? '',
      entities: payload.entities ?? [],
      payload,
      edits: 0,
      deleted: false,
    };
    fake.shown.push(message);
    return { value: asMessage(message) };
  }

  function editMessage(payload: Payload): { value: object } | { refusal: string } {
    const message = findShown(payload);
    const refusal = checkMessage(payload);
    if (message === undefined) return { refusal: 'message to edit not found' };
    if (refusal !== undefined) return { refusal };
    const before = JSON.stringify([message.text, message.entities, message.payload.reply_markup]);
    const after = [payload.text, payload.entities ?? [], payload.reply_markup];
    if (before === JSON.stringify(after)) return { refusal: 'message is not modified' };
    Object.assign(message, { text: payload.text, entities: payload.entities ?? [], payload });
    message.edits += 1;
    return { value: asMessage(message) };
  }

  function findShown(payload: Payload): ShownMessage | undefined {
    return fake.shown.find(
      (m) =>
        m.messageId === payload.message_id && m.chatId === Number(payload.chat_id) && !m.deleted,
    );
  }

  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The fake has no TCP port');
  fake.root = `http://127.0.0.1:${address.port}`;
  return fake;
}

function asMessage(message: ShownMessage): object {
  return {
    message_id: message.messageId,
    date: Math.floor(Date.now() / 1_000),
    chat: { id: message.chatId, type: 'private', first_name: 'Ada' },
    text: message.text,
  };
}

function refuseAs(res: ServerResponse, { status = 500, retryAfter, description }: Trouble): void {
  refuse(res, status, description ?? 'as the test wants it', retryAfter);
}

function refuse(
  res: ServerResponse,
  status: number,
  description: string,
  retryAfter?: number,
): void {
  const parameters = retryAfter === undefined ? undefined : { retry_after: retryAfter };
  reply(res, status, { ok: false, error_code: status, description, parameters });
}

function reply(res: ServerResponse, status: number, body: object): void {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
