import { Composer, InlineKeyboard, InputFile } from 'grammy/web';
import { persist } from '#src/backend/persist.ts';
import type { ChatMemory } from '#src/backend/backend.ts';
import type { Chat } from '#src/chat/chat.ts';
import { splitFormatted } from '#src/markdown/split.ts';
import { plain } from '#src/telegram/formatted.ts';
import type { Texts } from '#src/texts/texts.ts';
import type { BotContext } from '#src/updates/bot-context.ts';
import { mayDecide } from './may-decide.ts';

const LONGEST_EXCERPT = 300;

/** `/memory`, `/forget` and `/export`: what is kept of the chat. */
export function memory({ backend, stop }: Chat): Composer<BotContext> {
  const composer = new Composer<BotContext>();

  composer.command('memory', async (ctx) => {
    const known = await persist(() => backend.memory(ctx.key), { stop });
    const isEmpty = known === undefined || (known.summary === null && known.recent.length === 0);
    const text = isEmpty ? ctx.texts.memory.nothing : describeMemory(known, ctx.texts);
    for (const piece of splitFormatted(plain(text))) await ctx.say(piece.text);
  });

  composer.command('forget', async (ctx) => {
    if (!(await mayDecide(ctx))) return await ctx.say(ctx.texts.adminsOnly);
    const asker = ctx.from?.id ?? 0;
    const keyboard = new InlineKeyboard()
      .text(ctx.texts.forget.yes, `forget:yes:${asker}`)
      .text(ctx.texts.forget.no, `forget:no:${asker}`);
    await ctx.say(ctx.texts.forget.ask, { keyboard });
  });

  composer.callbackQuery(/^forget:(yes|no):(\d+)$/, async (ctx) => {
    const [, decision, asker] = ctx.match;
    if (String(ctx.from.id) !== asker) {
      await ctx.answerCallbackQuery({ text: ctx.texts.forget.notYours });
      return;
    }
    if (decision === 'yes') await persist(() => backend.forget(ctx.key), { stop });
    await ctx.answerCallbackQuery();
    await ctx.editMessageText(decision === 'yes' ? ctx.texts.forget.done : ctx.texts.forget.kept);
  });

  composer.command('export', async (ctx) => {
    if (!(await mayDecide(ctx))) return await ctx.say(ctx.texts.adminsOnly);
    const json = await persist(() => backend.exportChat(ctx.key), { stop });
    if (json === undefined || ctx.place === undefined) return await ctx.say(ctx.texts.nothingKept);
    const name = `chat-${ctx.key.replace(':', '-topic-')}.json`;
    await ctx.api.sendDocument(ctx.place.chatId, new InputFile(Buffer.from(json), name), {
      caption: ctx.texts.exportCaption,
      message_thread_id: ctx.place.threadId,
    });
  });

  return composer;
}

function describeMemory(known: ChatMemory, { memory: texts }: Texts): string {
  const summary =
    known.summary === null
      ? texts.noSummary
      : `${texts.summary(known.summary.version)}\n${known.summary.content}`;
  const recent = known.recent.map(({ role, content }) => {
    const excerpt = content.slice(0, LONGEST_EXCERPT).toWellFormed();
    const who = role === 'user' ? texts.user : texts.assistant;
    return `${who}: ${excerpt}${excerpt.length < content.length ? '…' : ''}`;
  });
  return [texts.title, summary, [texts.recent, ...recent].join('\n')].join('\n\n');
}
