import type { Message } from 'grammy/types';

/** Who speaks: a person, or the group or channel in whose name they do. */
export function speakerOf(message: Message): { id: number; name: string } {
  const { from, sender_chat: chat } = message;
  if (chat !== undefined) return { id: chat.id, name: oneLine(chat.title ?? chat.username) };
  const name = [from?.first_name, from?.last_name].filter((part) => part !== undefined).join(' ');
  return { id: from?.id ?? message.chat.id, name: oneLine(name) };
}

/** A name cannot be made to look like somebody else's words. */
function oneLine(name: string | undefined): string {
  const clean = (name ?? '').replaceAll(/[\s:]+/g, ' ').trim();
  return clean.slice(0, 64) || '?';
}
