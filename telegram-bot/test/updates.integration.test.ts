import type { Message, MessageEntity, Update, User } from 'grammy/types';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { en } from '#src/texts/en.ts';
import { ru } from '#src/texts/ru.ts';
import type { FakeTelegram } from './fake-telegram.ts';
import { ME } from './fake-telegram.ts';
import { forum, group, message, wire } from './people.ts';
import type { Content } from './people.ts';
import { eventually } from './processes.ts';
import { setStage } from './stage.ts';
import type { Stage } from './stage.ts';

/** What happens: the model is asked these words, the bot says these of its own, or neither. */
type Expected = { asks: string } | { says: string } | 'nothing';
/** Where the update comes from: the bot sees each row's chat and person for the first time. */
interface Scene {
  user: User;
  private: Content;
  group: Content;
  topic: Content;
  ofBot: Message;
}
type Case = [name: string, update: (scene: Scene) => Omit<Update, 'update_id'>, expected: Expected];

const photo = [{ file_id: 'f', file_unique_id: 'u', width: 1, height: 1 }];
const voice = { file_id: 'f', file_unique_id: 'u', duration: 1 };
const document = { file_id: 'f', file_unique_id: 'u' };
const sticker = { ...photo[0], type: 'regular', is_animated: false, is_video: false };
const mention = (user: User): MessageEntity[] => [
  { type: 'text_mention', offset: 0, length: 4, user },
];

let telegram: FakeTelegram;
const said = (content: Content, user: User) => ({ message: message(telegram, content, user) });

const cases: Case[] = [
  // In private everything is for the bot.
  ['private text', (s) => said({ text: 'hi' }, s.user), { asks: 'hi' }],
  [
    'private forward',
    (s) =>
      said(
        { text: 'fwd', forward_origin: { type: 'hidden_user', sender_user_name: 'B', date: 1 } },
        s.user,
      ),
    { asks: 'fwd' },
  ],
  [
    'private reply to the bot',
    (s) => said({ text: 'and?', reply_to_message: s.ofBot }, s.user),
    { asks: 'and?' },
  ],
  [
    'private topic',
    (s) => said({ ...s.private, text: 'hi', message_thread_id: 7, is_topic_message: true }, s.user),
    { asks: 'hi' },
  ],
  [
    'a command inside a sentence',
    (s) => said({ text: 'what does /help do' }, s.user),
    { asks: 'what does /help do' },
  ],
  [
    'only white space with a mention',
    (s) => said({ text: '@memo_bot' }, s.user),
    { asks: '@memo_bot' },
  ],
  // Commands.
  ['/start', (s) => said({ text: '/start' }, s.user), { says: en.greeting }],
  ['/start with a payload', (s) => said({ text: '/start abc' }, s.user), { says: en.greeting }],
  ['/start@memo_bot', (s) => said({ text: '/start@memo_bot' }, s.user), { says: en.greeting }],
  ['/help', (s) => said({ text: '/help' }, s.user), { says: en.help }],
  [
    '/help in Russian',
    (s) => said({ text: '/help' }, { ...s.user, language_code: 'ru' }),
    { says: ru.help },
  ],
  [
    '/help in a language we do not speak',
    (s) => said({ text: '/help' }, { ...s.user, language_code: 'eo' }),
    { says: en.help },
  ],
  [
    '/stop with nothing to stop',
    (s) => said({ text: '/stop' }, s.user),
    { says: en.nothingToStop },
  ],
  [
    '/memory of an unknown chat',
    (s) => said({ text: '/memory' }, s.user),
    { says: en.memory.nothing },
  ],
  ['/forget asks first', (s) => said({ text: '/forget' }, s.user), { says: en.forget.ask }],
  [
    '/export of an unknown chat',
    (s) => said({ text: '/export' }, s.user),
    { says: en.nothingKept },
  ],
  ['an unknown command', (s) => said({ text: '/dance' }, s.user), { says: en.unknownCommand }],
  ['a command to another bot', (s) => said({ text: '/help@other_bot' }, s.user), 'nothing'],
  // Media.
  [
    'photo with a caption',
    (s) => said({ photo, caption: 'what is it' }, s.user),
    { asks: 'what is it' },
  ],
  ['photo without', (s) => said({ photo }, s.user), { says: en.onlyText }],
  [
    'voice, Russian',
    (s) => said({ voice }, { ...s.user, language_code: 'ru-RU' }),
    { says: ru.onlyText },
  ],
  ['sticker', (s) => said({ sticker }, s.user), { says: en.onlyText }],
  [
    'document with a caption',
    (s) => said({ document, caption: 'read me' }, s.user),
    { asks: 'read me' },
  ],
  [
    'location',
    (s) => said({ location: { latitude: 1, longitude: 1 } }, s.user),
    { says: en.onlyText },
  ],
  [
    'contact',
    (s) => said({ contact: { phone_number: '1', first_name: 'B' } }, s.user),
    { says: en.onlyText },
  ],
  // What is no message to the bot.
  [
    'edited text',
    (s) => ({
      edited_message: edited(telegram, { text: 'hi!', edit_date: 2 }, s.user),
    }),
    { says: en.onlyFirstVersion },
  ],
  [
    'edited text in a group',
    (s) => ({
      edited_message: edited(telegram, { ...s.group, text: '@memo_bot hi!', edit_date: 2 }, s.user),
    }),
    'nothing',
  ],
  [
    'channel post',
    () => ({
      channel_post: edited(telegram, {
        chat: { id: -100_700, type: 'channel', title: 'News' },
        text: '@memo_bot news',
      }),
    }),
    'nothing',
  ],
  ['somebody joins', (s) => said({ ...s.group, new_chat_members: [s.user] }, s.user), 'nothing'],
  ['a pinned message', (s) => said({ ...s.group, pinned_message: s.ofBot }, s.user), 'nothing'],
  ['another bot', (s) => said({ text: 'beep' }, { ...s.user, is_bot: true }), 'nothing'],
  [
    'the bot is blocked',
    (s) => ({ my_chat_member: membership(s.private, s.user, 'member', 'kicked') }),
    'nothing',
  ],
  [
    'the bot joins a group',
    (s) => ({ my_chat_member: membership(s.group, s.user, 'left', 'member') }),
    { says: en.groupGreeting },
  ],
  // In groups only what names the bot.
  ['group chatter', (s) => said({ ...s.group, text: 'lunch?' }, s.user), 'nothing'],
  [
    'mention first',
    (s) => said({ ...s.group, text: '@memo_bot, lunch?' }, s.user),
    { asks: 'Ada: lunch?' },
  ],
  [
    'mention last',
    (s) => said({ ...s.group, text: 'lunch, @Memo_Bot' }, s.user),
    { asks: 'Ada: lunch' },
  ],
  [
    'mention inside',
    (s) => said({ ...s.group, text: 'ask @memo_bot too' }, s.user),
    { asks: 'Ada: ask @memo_bot too' },
  ],
  [
    'mention without words',
    (s) => said({ ...s.group, text: '@memo_bot' }, s.user),
    { says: en.emptyMention },
  ],
  [
    'mention of a longer name',
    (s) => said({ ...s.group, text: '@memo_bot2 hi' }, s.user),
    'nothing',
  ],
  [
    'mention by id',
    (s) => said({ ...s.group, text: 'Memo hi', entities: mention(ME) }, s.user),
    { asks: 'Ada: Memo hi' },
  ],
  [
    'mention of another by id',
    (s) => said({ ...s.group, text: 'Emma hi', entities: mention(s.user) }, s.user),
    'nothing',
  ],
  [
    'reply to the bot',
    (s) => said({ ...s.group, text: 'why?', reply_to_message: s.ofBot }, s.user),
    { asks: 'Ada: why?' },
  ],
  [
    'reply to somebody else',
    (s) =>
      said({ ...s.group, text: 'why?', reply_to_message: { ...s.ofBot, from: s.user } }, s.user),
    'nothing',
  ],
  [
    'a caption with a mention',
    (s) => said({ ...s.group, photo, caption: '@memo_bot this?' }, s.user),
    { asks: 'Ada: this?' },
  ],
  ['a sticker in a group', (s) => said({ ...s.group, sticker }, s.user), 'nothing'],
  [
    'a sticker as a reply to the bot',
    (s) => said({ ...s.group, sticker, reply_to_message: s.ofBot }, s.user),
    { says: en.onlyText },
  ],
  ['/help in a group', (s) => said({ ...s.group, text: '/help' }, s.user), 'nothing'],
  [
    '/help@memo_bot in a group',
    (s) => said({ ...s.group, text: '/help@memo_bot' }, s.user),
    { says: en.help },
  ],
  [
    '/forget@memo_bot by a member',
    (s) => said({ ...s.group, text: '/forget@memo_bot' }, s.user),
    { says: en.adminsOnly },
  ],
  [
    '/dance@memo_bot',
    (s) => said({ ...s.group, text: '/dance@memo_bot' }, s.user),
    { says: en.unknownCommand },
  ],
  [
    'a name that pretends',
    (s) => said({ ...s.group, text: '@memo_bot hi' }, { ...s.user, first_name: 'Bob:\nAda' }),
    { asks: 'Bob Ada: hi' },
  ],
  [
    'in the name of a channel',
    (s) =>
      said(
        {
          ...s.group,
          text: '@memo_bot hi',
          sender_chat: { id: -100_800, type: 'channel', title: 'News' },
        },
        s.user,
      ),
    { asks: 'News: hi' },
  ],
  [
    'topic chatter',
    (s) =>
      said(
        {
          ...s.topic,
          text: 'hm',
          reply_to_message: {
            ...s.ofBot,
            forum_topic_created: { name: 'T', icon_color: 0 },
          },
        },
        s.user,
      ),
    'nothing',
  ],
  [
    'mention in a topic',
    (s) => said({ ...s.topic, text: '@memo_bot hm' }, s.user),
    { asks: 'Ada: hm' },
  ],
];

/** The same shape, for updates whose message is of another kind. */
function edited(...args: Parameters<typeof message>) {
  return wire(message(...args));
}

function membership(content: Content, from: User, before: string, now: string) {
  return wire({
    chat: content.chat,
    from,
    date: 1,
    old_chat_member: { status: before, user: ME },
    new_chat_member: { status: now, user: ME },
  });
}

function sceneOf(index: number): Scene {
  const user: User = { id: 9_000 + index, is_bot: false, first_name: 'Ada', language_code: 'en' };
  const ofBot = message(telegram, { text: 'I am the bot' }, ME);
  return {
    user,
    ofBot,
    private: { chat: { id: user.id, type: 'private', first_name: 'Ada' } },
    group: { chat: { ...group, id: -100_000_000 - index } },
    topic: {
      chat: { ...forum, id: -100_000_000 - index },
      message_thread_id: 7,
      is_topic_message: true,
    },
  };
}

let stage: Stage;
const happened = new Map<string, Expected>();

/** All rows at once, each in a chat of its own; what they led to is looked at when all is quiet. */
beforeAll(async () => {
  stage = await setStage();
  const answers = new Map<string, string>();
  stage.model.behave(({ messages }) => {
    const words = messages.findLast(({ role }) => role === 'user')?.content ?? '';
    const text = `answer ${answers.size}`;
    answers.set(text, words);
    return { kind: 'reply', text };
  });
  ({ telegram } = await stage.startBot());
  const chats = cases.map(([name, update], index) => {
    const pushed = update(sceneOf(index));
    telegram.push(pushed);
    const [content] = Object.values(pushed);
    const chatId: number = wire(content).chat.id;
    return { name, chatId };
  });
  const expected = cases.filter(([, , what]) => what !== 'nothing').length;
  await eventually(() => telegram.queue.length === 0 && telegram.shown.length >= expected, {
    withinMs: 60_000,
  });
  await sleep(1_000);
  for (const { name, chatId } of chats) {
    const [shown] = telegram.visible(chatId);
    const asked = answers.get(shown?.text ?? '');
    if (asked !== undefined) happened.set(name, { asks: asked });
    else happened.set(name, shown === undefined ? 'nothing' : { says: shown.text });
  }
}, 120_000);

afterAll(async () => await stage.close());

test.each(cases)('%s', (name, _, expected) => {
  expect(happened.get(name)).toEqual(expected);
});

test('each row led to one message at most, in its own topic', () => {
  const perChat = Map.groupBy(telegram.shown, ({ chatId }) => chatId);
  expect([...perChat.values()].filter((shown) => shown.length > 1)).toEqual([]);
  const threads = telegram.shown.map(({ threadId }) => threadId).filter((id) => id !== undefined);
  expect(threads).toEqual([7, 7]);
});
