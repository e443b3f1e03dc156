import { Composer } from 'grammy/web';
import type { Message } from 'grammy/types';
import type { Throttle } from '#src/throttle.ts';
import type { BotContext } from '#src/updates/bot-context.ts';
import { isAddressed } from './addressed.ts';

const REMARK_EVERY_MS = 10_000;
const EDIT_REMARK_EVERY_MS = 3_600_000;

/** What no other feature took: a polite word where somebody waits for one, else nothing. */
export function leftovers(remarks: Throttle): Composer<BotContext> {
  const composer = new Composer<BotContext>();

  composer.on('message', async (ctx) => {
    const { message } = ctx;
    if (message.from.is_bot) return;
    // Commands to others have been kept back.
    if (message.text?.startsWith('/')) return await ctx.say(ctx.texts.unknownCommand);
    if (!isAddressed(message, ctx.me) || !isContent(message)) return;
    const album = message.media_group_id;
    const isNew =
      album === undefined
        ? remarks.allow(`${ctx.key} text only`, REMARK_EVERY_MS)
        : remarks.allow(album, Infinity);
    if (isNew) await ctx.say(ctx.texts.onlyText);
  });

  composer.on('edited_message:text', async (ctx) => {
    if (ctx.inGroup || !remarks.allow(`${ctx.key} edit`, EDIT_REMARK_EVERY_MS)) return;
    await ctx.say(ctx.texts.onlyFirstVersion);
  });

  return composer;
}

/** Something that a person sent, in contrast to a notice of what happened in the chat. */
function isContent(message: Message): boolean {
  return contents.some((content) => message[content] !== undefined);
}

const contents = [
  'animation',
  'audio',
  'contact',
  'dice',
  'document',
  'game',
  'location',
  'paid_media',
  'photo',
  'poll',
  'sticker',
  'story',
  'venue',
  'video',
  'video_note',
  'voice',
] as const satisfies (keyof Message)[];
