import { Composer } from 'grammy/web';
import { persist } from '#src/backend/persist.ts';
import type { Chat } from '#src/chat/chat.ts';
import { STOP_BUTTON } from '#src/chat/canvas.ts';
import { RETRY_BUTTON } from '#src/chat/deliver.ts';
import type { BotContext } from '#src/updates/bot-context.ts';

/** `/start`, `/help`, `/stop` and the buttons under answers. */
export function conversation({ backend, stop }: Chat): Composer<BotContext> {
  const composer = new Composer<BotContext>();

  composer.command('start', async (ctx) => {
    await persist(() => backend.reset(ctx.key), { stop });
    await ctx.say(ctx.texts.greeting);
  });

  composer.command('help', async (ctx) => await ctx.say(ctx.texts.help));

  composer.command('stop', async (ctx) => {
    const count = await persist(() => backend.cancel(ctx.key), { stop });
    await ctx.say(count > 0 ? ctx.texts.stopped : ctx.texts.nothingToStop);
  });

  composer.callbackQuery(STOP_BUTTON, async (ctx) => {
    const count = await persist(() => backend.cancel(ctx.key), { stop });
    await ctx.acknowledge(count > 0 ? ctx.texts.stopped : ctx.texts.nothingToStop);
  });

  composer.on('stopped_message_generation', async (ctx) => {
    await persist(() => backend.cancel(ctx.key), { stop });
  });

  composer.callbackQuery(new RegExp(`^${RETRY_BUTTON}(\\d+)$`), async (ctx) => {
    const id = String(ctx.match[1]);
    const given = await persist(() => backend.mark(id, { state: 'pending' }), { stop });
    await ctx.acknowledge(given ? ctx.texts.sentAgain : ctx.texts.tooOld);
    if (given) await ctx.deleteMessage();
  });

  return composer;
}
