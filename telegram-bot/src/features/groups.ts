import { Composer } from 'grammy/web';
import type { BotContext } from '#src/updates/bot-context.ts';

/** Keeps what is said to others in a group from the features after it, and greets a new group. */
export function groups(): Composer<BotContext> {
  const composer = new Composer<BotContext>();

  composer.on('my_chat_member', async (ctx) => {
    const { old_chat_member: before, new_chat_member: now } = ctx.myChatMember;
    const wasOut = before.status === 'left' || before.status === 'kicked';
    const isIn = now.status === 'member' || now.status === 'administrator';
    if (ctx.inGroup && ctx.chat.type !== 'channel' && wasOut && isIn) {
      await ctx.say(ctx.texts.groupGreeting);
    }
  });

  // Other bots hear a bare `/help` too.
  composer.on('message::bot_command', async (ctx, next) => {
    const [command] = (ctx.message.text ?? '').split(/\s/, 1);
    const named = command?.toLowerCase().endsWith(`@${ctx.me.username.toLowerCase()}`) ?? false;
    if (ctx.inGroup ? named : !command?.includes('@') || named) await next();
  });

  return composer;
}
