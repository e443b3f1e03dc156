import type { Message, MessageEntity, Update, User } from 'grammy/types';
import type { FakeTelegram } from './fake-telegram.ts';

export const ada: User = { id: 1001, is_bot: false, first_name: 'Ada', language_code: 'en' };
export const ivan: User = { id: 1002, is_bot: false, first_name: 'Иван', language_code: 'ru' };

export const group = { id: -100_500, type: 'supergroup' as const, title: 'The club' };
export const forum = { ...group, id: -100_600, is_forum: true as const };

/** A message that a person sent, as Telegram would put it. */
export function message(
  telegram: FakeTelegram,
  content: Content,
  from: User = ada,
): Message & Update.NonChannel {
  const text = content.text ?? content.caption;
  const entities = text === undefined ? [] : findEntities(text);
  return wire({
    message_id: telegram.nextMessageId(),
    date: Math.floor(Date.now() / 1_000),
    chat: { id: from.id, type: 'private', first_name: from.first_name },
    from,
    ...(entities.length === 0
      ? {}
      : { [content.text === undefined ? 'caption_entities' : 'entities']: entities }),
    ...content,
  });
}

/** What a message carries, as far as the tests look at it. */
export interface Content {
  text?: string;
  caption?: string;
  [field: string]: unknown;
}

/** An object as it would come from Telegram. Its types ask for more than a test needs. */
export function wire(value: object) {
  return JSON.parse(JSON.stringify(value));
}

/** A person writes to the bot. */
export function say(
  telegram: FakeTelegram,
  text: string,
  from: User = ada,
  content: Content = {},
): Update {
  return telegram.push({ message: message(telegram, { text, ...content }, from) });
}

/** A person presses a button under a message of the bot's. */
export function press(
  telegram: FakeTelegram,
  data: string,
  under: { messageId: number; chatId: number; text: string },
  from: User = ada,
): Update {
  return telegram.push({
    callback_query: wire({
      id: String(telegram.nextMessageId()),
      from,
      chat_instance: 'test',
      data,
      message: {
        message_id: under.messageId,
        date: Math.floor(Date.now() / 1_000),
        chat:
          under.chatId < 0
            ? { ...group, id: under.chatId }
            : { id: under.chatId, type: 'private', first_name: from.first_name },
        text: under.text,
      },
    }),
  });
}

function findEntities(text: string): MessageEntity[] {
  return [...text.matchAll(/(?<!\S)(\/\w+(?:@\w+)?|@\w+)/g)].map((match) => ({
    type: match[0].startsWith('/') ? 'bot_command' : 'mention',
    offset: match.index,
    length: match[0].length,
  }));
}
