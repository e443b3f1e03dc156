import { Composer } from 'grammy/web';
import type { Bursts } from '#src/chat/bursts.ts';
import type { Chat } from '#src/chat/chat.ts';
import type { Incoming } from '#src/chat/converse.ts';
import type { BotContext } from '#src/updates/bot-context.ts';
import { conversation } from './conversation.ts';
import { groups } from './groups.ts';
import { leftovers } from './leftovers.ts';
import { memory } from './memory.ts';
import { talk } from './talk.ts';

/** All that the bot reacts to; the first feature that knows an update takes it. */
export function createFeatures(chat: Chat, bursts: Bursts<Incoming>): Composer<BotContext> {
  const composer = new Composer<BotContext>();
  composer.use(talk(bursts, chat.remarks));
  // A command concerns everything that was said before it.
  composer.use(async (ctx, next) => {
    await bursts.settle(ctx.key);
    await next();
  });
  composer.use(groups(), conversation(chat), memory(chat), leftovers(chat.remarks));
  return composer;
}
