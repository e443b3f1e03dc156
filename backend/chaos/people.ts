import { setTimeout as sleep } from 'node:timers/promises';
import { say } from '../../telegram-bot/test/people.ts';
import type { FakeTelegram } from '../../telegram-bot/test/fake-telegram.ts';
import type { History } from './history.ts';
import { messageMark } from './marks.ts';
import { chatter } from './model.ts';
import { randomOf } from './random.ts';
import type { Said } from './speech.ts';

export const TELEGRAM_CHATS = ['3001', '3002', '3003', '3004'];

export interface Person {
  chat: string;
  said: Said[];
  speak(): void;
}

/** Someone in a private chat with the bot, who sometimes stops an answer, or begins a new conversation. */
export function createPerson(
  chat: string,
  seed: number,
  telegram: FakeTelegram,
  history: History,
): Person & { type(end: AbortSignal): Promise<void> } {
  const random = randomOf(seed, `person ${chat}`);
  const user = { id: Number(chat), is_bot: false, first_name: 'Ada' };
  let conversation = 0;
  const person: Person = {
    chat,
    said: [],
    speak() {
      const mark = messageMark(chat, person.said.length);
      const at = Date.now();
      person.said.push({ mark, chat, channel: 'telegram', at, conversation, calls: [] });
      history.note(`says ${mark}`, chat);
      say(telegram, `${mark} ${chatter(random)}`, user);
    },
  };
  async function type(end: AbortSignal): Promise<void> {
    while (!end.aborted) {
      if (random.chance(0.06)) {
        conversation += 1;
        history.note('says /start', chat);
        say(telegram, '/start', user);
      } else if (random.chance(0.05)) {
        history.note('says /stop', chat);
        say(telegram, '/stop', user);
      } else {
        // Some write several messages in one breath.
        for (let left = random.chance(0.15) ? 3 : 1; left > 0; left -= 1) person.speak();
      }
      await sleep(random.between(300, 2_500));
    }
  }
  return Object.assign(person, { type });
}
