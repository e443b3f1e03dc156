import { setTimeout as sleep } from 'node:timers/promises';
import { clientOf } from '#test/api.ts';
import type { History } from './history.ts';
import { operatorMark } from './marks.ts';
import { chatter } from './model.ts';
import { randomOf } from './random.ts';
import { readStored } from './stored.ts';

/** While an operator holds a chat: from the answer to the takeover until the handback was asked for. */
export interface Holding {
  chat: string;
  from: number;
  to: number;
}

/** What an operator did through the routes of the panel, and was told. */
export interface Desk {
  /** Marks of their own words that were taken, and when they asked for that. */
  spoken: { chat: string; mark: string; at: number }[];
  holdings: Holding[];
  /** Messages that they had sent again, once for each time. */
  resent: number[];
  /** Sessions whose summary they had written anew, which takes back what was edited in it. */
  rebuilt: Set<string>;
  work(end: AbortSignal): Promise<void>;
}

export function createDesk(
  seed: number,
  { apiUrls, databaseUrl }: { apiUrls: string[]; databaseUrl: string },
  history: History,
): Desk {
  const random = randomOf(seed, 'desk');
  const desk: Desk = { spoken: [], holdings: [], resent: [], rebuilt: new Set(), work };
  const acts = [
    { weight: 5, act: speak },
    { weight: 2, act: hold },
    { weight: 2, act: retryTurn },
    { weight: 1, act: resend },
    { weight: 1, act: rebuild },
  ];
  let words = 0;

  async function work(end: AbortSignal): Promise<void> {
    while (!end.aborted) {
      await sleep(random.between(300, 3_000), undefined, { signal: end }).catch(() => {});
      if (!end.aborted)
        await random
          .weighted(acts)
          .act()
          .catch(() => {});
    }
  }

  /** The status; undefined where it is not known. */
  async function post(path: string, body: object = {}): Promise<number | undefined> {
    const signal = AbortSignal.timeout(5_000);
    const api = clientOf(random.pick(apiUrls));
    const answer = await api.post(path, body, { signal }).catch(() => undefined);
    return answer?.status;
  }

  async function speak(): Promise<void> {
    const { sessions } = await readStored(databaseUrl);
    const chat = random.pick(sessions).chat_id;
    const mark = operatorMark(chat, (words += 1));
    const at = Date.now();
    const status = await post(`/v1/chats/${chat}/messages`, { text: `${mark} ${chatter(random)}` });
    history.note(`operator: says ${mark}: ${status ?? 'unknown'}`, chat);
    if (status === 201) desk.spoken.push({ chat, mark, at });
  }

  async function hold(): Promise<void> {
    const { sessions } = await readStored(databaseUrl);
    const chat = random.pick(sessions).chat_id;
    const taken = await post(`/v1/chats/${chat}/takeover`);
    const from = Date.now();
    history.note(`operator: takes over: ${taken ?? 'unknown'}`, chat);
    await sleep(random.between(500, 3_000));
    const to = Date.now();
    if (taken === 200) desk.holdings.push({ chat, from, to });
    let given: number | undefined;
    while (given !== 200) {
      given = await post(`/v1/chats/${chat}/handback`);
      if (given === undefined || given >= 500) await sleep(300);
    }
    history.note('operator: hands back', chat);
  }

  async function retryTurn(): Promise<void> {
    const { turns } = await readStored(databaseUrl);
    const turn = random.pick(turns.filter(({ state }) => state === 'failed'));
    const status = await post(`/v1/turns/${turn.id}/retry`);
    history.note(`operator: has turn ${turn.id} answered: ${status ?? 'unknown'}`, turn.chat_id);
  }

  async function resend(): Promise<void> {
    const { messages } = await readStored(databaseUrl);
    const message = random.pick(
      messages.filter(({ delivery_state: state }) => state === 'uncertain' || state === 'failed'),
    );
    desk.resent.push(message.id);
    const status = await post(`/v1/deliveries/${message.id}/retry`);
    history.note(`operator: has message ${message.id} sent again: ${status ?? 'unknown'}`);
  }

  async function rebuild(): Promise<void> {
    const { sessions } = await readStored(databaseUrl);
    const { id, chat_id: chat } = random.pick(sessions);
    desk.rebuilt.add(id);
    const status = await post(`/v1/sessions/${id}/rebuild`);
    history.note(`operator: has session ${id} summarised anew: ${status ?? 'unknown'}`, chat);
  }

  return desk;
}
