import { setTimeout as sleep } from 'node:timers/promises';
import { clientOf, streamHandle } from '#test/api.ts';
import type { History } from './history.ts';
import { messageMark } from './marks.ts';
import { chatter } from './model.ts';
import { randomOf } from './random.ts';
import type { Random } from './random.ts';
import type { Call, Closing, Forgetting, Said } from './speech.ts';

/** Those whose name begins with an f have everything erased now and then. */
export const API_CHATS = ['a1', 'a2', 'a3', 'a4', 'f1', 'f2'];

export interface Caller {
  chat: string;
  said: Said[];
  closings: Closing[];
  forgettings: Forgetting[];
  /** Marks of what still waits for an answer. */
  waiting: Set<string>;
  /** Says one thing more, and asks until it has an answer. */
  ask(): Promise<void>;
  /** Says things until the end, and resolves when each has an answer or is given up. */
  type(end: AbortSignal): Promise<void>;
}

/** Few leave it open whether their message was taken. */
const ASKS_ONCE = 0.05;

type Words = { chat_id: string; user_id: string; text: string; message_id: string };

/** Whoever gets no answer repeats the call with the same message id, to either API. */
export function createCaller(
  chat: string,
  seed: number,
  apiUrls: string[],
  history: History,
  giveUp: AbortSignal,
): Caller {
  const random = randomOf(seed, `caller ${chat}`);
  const isForgetful = chat.startsWith('f');
  const caller: Caller = {
    chat,
    said: [],
    closings: [],
    forgettings: [],
    waiting: new Set(),
    ask,
    type,
  };

  async function type(end: AbortSignal): Promise<void> {
    const asking: Promise<void>[] = [];
    while (!end.aborted) {
      if (random.chance(0.05)) await reset();
      if (isForgetful && random.chance(0.08)) await forget();
      const answered = ask(random.chance(ASKS_ONCE) ? 1 : Infinity);
      asking.push(answered);
      if (random.chance(0.08)) await stop();
      // Some wait for the answer, some do not.
      if (random.chance(0.6)) await Promise.race([answered, sleep(10_000)]);
      await sleep(random.between(100, 1_500));
    }
    await Promise.all(asking);
  }

  async function ask(tries = Infinity): Promise<void> {
    const index = caller.said.length;
    const mark = messageMark(chat, index);
    const at = Date.now();
    const said: Said = { mark, chat, channel: 'api', at, conversation: 0, calls: [] };
    caller.said.push(said);
    const text = `${mark} ${chatter(random)}`;
    const words = { chat_id: chat, user_id: `user of ${chat}`, text, message_id: `m${index}` };
    caller.waiting.add(mark);
    for (let attempt = 0; attempt < tries && !giveUp.aborted; attempt += 1) {
      const twice = random.chance(0.08);
      const calls = await Promise.all(
        (twice ? apiUrls : [random.pick(apiUrls)]).map((url) => call(url, words, said)),
      );
      if (calls.some((each) => isFinal(each, random))) break;
      await sleep(random.between(100, 800));
    }
    caller.waiting.delete(mark);
  }

  async function call(url: string, words: Words, said: Said): Promise<Call> {
    const made: Call = {
      at: Date.now(),
      endedAt: 0,
      accepted: false,
      status: undefined,
      code: undefined,
      reply: undefined,
    };
    said.calls.push(made);
    const signal = AbortSignal.any([giveUp, AbortSignal.timeout(random.whole(1_000, 12_000))]);
    const how = random.chance(0.3) ? callStreamed : callWhole;
    const trouble = await how(url, words, made, signal).then(() => undefined, String);
    made.endedAt = Date.now();
    const outcome = made.code ?? made.status ?? `unknown (${trouble ?? 'broke off'})`;
    history.note(`${said.mark} called: ${outcome}${made.accepted ? ', accepted' : ''}`, chat);
    return made;
  }

  async function reset(): Promise<void> {
    const { isDone, askedAt, doneAt } = await post('reset');
    if (isDone) caller.closings.push({ chat, askedAt, doneAt, sessionId: undefined });
  }

  async function forget(): Promise<void> {
    const { isDone, askedAt, doneAt } = await post('forget');
    caller.forgettings.push({ chat, askedAt, doneAt, known: isDone });
  }

  /** Lets the answer begin, and stops it. */
  async function stop(): Promise<void> {
    await sleep(random.between(0, 400));
    await post('cancel');
  }

  async function post(what: 'reset' | 'forget' | 'cancel') {
    const askedAt = Date.now();
    const answer = await clientOf(random.pick(apiUrls))
      .post(`/v1/chat/${what}`, { chat_id: chat }, { signal: AbortSignal.timeout(5_000) })
      .catch(() => undefined);
    history.note(`asks for ${what}: ${answer?.status ?? 'unknown'}`, chat);
    return { isDone: answer?.status === 200, askedAt, doneAt: Date.now() };
  }

  return caller;
}

/** After a failure of the model some try again with the same id, and some let it be. */
function isFinal({ status, code }: Call, random: Random): boolean {
  if (status === undefined || status === 500 || status === 503) return false;
  return code === 'model_failed' || code === 'model_timeout' ? random.chance(0.4) : true;
}

async function callWhole(url: string, words: Words, made: Call, signal: AbortSignal) {
  const { status, body } = await clientOf(url).post<Partial<Answered>>('/v1/chat/handle', words, {
    signal,
  });
  note(made, status, body);
}

async function callStreamed(url: string, words: Words, made: Call, signal: AbortSignal) {
  const { response, events } = await streamHandle(clientOf(url), words, signal);
  if (!response.ok) return note(made, response.status, {});
  for await (const { event, data } of events) {
    if (event === 'accepted') made.accepted = true;
    if (event === 'message') note(made, 200, data);
    if (event === 'error') note(made, Number(data['status']), data);
  }
}

interface Answered {
  code: string;
  text: string;
  reply_message_id: string | null;
}

function note(made: Call, status: number, body: Partial<Answered>): void {
  made.status = status;
  made.code = body.code;
  if (status !== 200) return;
  made.accepted = true;
  // While an operator holds the chat there is none.
  if (body.reply_message_id == null) return;
  made.reply = { text: body.text ?? '', replyId: body.reply_message_id };
}
