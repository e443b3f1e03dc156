import { Composer } from 'grammy/web';
import type { Message } from 'grammy/types';
import type { Bursts } from '#src/chat/bursts.ts';
import type { Incoming } from '#src/chat/converse.ts';
import type { Throttle } from '#src/throttle.ts';
import type { BotContext } from '#src/updates/bot-context.ts';
import { isAddressed, withoutMention } from './addressed.ts';
import { speakerOf } from './speaker.ts';

/** Words that are to be answered: texts, and captions of whatever they stand under. */
export function talk(bursts: Bursts<Incoming>, remarks: Throttle): Composer<BotContext> {
  const composer = new Composer<BotContext>();
  composer.on(['message:text', 'message:caption'], async (ctx, next) => {
    const { message, place } = ctx;
    const text = message.text ?? message.caption ?? '';
    if (isCommand(message) || message.from.is_bot || place === undefined) return await next();
    if (!isAddressed(message, ctx.me)) return;
    // The rest of an album has no words of its own, and needs no remark that it has none.
    if (message.media_group_id !== undefined) remarks.allow(message.media_group_id, Infinity);

    const words = ctx.inGroup ? withoutMention(text, ctx.me) : text;
    if (words.trim() === '') return await ctx.say(ctx.texts.emptyMention);
    const speaker = speakerOf(message);
    ctx.stored = bursts.add({
      chat: ctx.key,
      place,
      userId: String(speaker.id),
      prefix: ctx.inGroup ? `${speaker.name}: ` : undefined,
      text: words,
      texts: ctx.texts,
      updateId: ctx.update.update_id,
      messageId: message.message_id,
      date: message.date,
    });
    // Whoever asks for it waits; the next message of the chat may join this one meanwhile.
    ctx.stored.catch(() => {});
  });
  return composer;
}

function isCommand(message: Message): boolean {
  return (
    message.entities?.some(({ type, offset }) => type === 'bot_command' && offset === 0) ?? false
  );
}
