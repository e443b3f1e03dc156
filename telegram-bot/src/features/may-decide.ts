import type { BotContext } from '#src/updates/bot-context.ts';

/** Whether the sender may erase or take away what is kept of the chat: in a group, its administrators. */
export async function mayDecide(ctx: BotContext): Promise<boolean> {
  if (!ctx.inGroup) return true;
  // An anonymous administrator speaks in the group's own name.
  if (ctx.msg?.sender_chat?.id === ctx.chat?.id) return true;
  const { status } = await ctx.getAuthor();
  return status === 'creator' || status === 'administrator';
}
