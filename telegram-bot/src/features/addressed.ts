import type { Message, UserFromGetMe } from 'grammy/types';

/** In a group the bot only reads what mentions it or replies to it; in private, everything. */
export function isAddressed(message: Message, me: UserFromGetMe): boolean {
  if (message.chat.type === 'private') return true;
  const replied = message.reply_to_message;
  // The first message of a topic counts as replied to by every message in it.
  if (replied?.from?.id === me.id && replied.forum_topic_created === undefined) return true;
  const text = message.text ?? message.caption ?? '';
  const entities = message.entities ?? message.caption_entities ?? [];
  return entities.some((entity) => {
    if (entity.type === 'text_mention') return entity.user.id === me.id;
    const mentioned = text.slice(entity.offset, entity.offset + entity.length);
    return entity.type === 'mention' && mentioned.toLowerCase() === `@${me.username.toLowerCase()}`;
  });
}

/** The words without the bot's name at their beginning or end. */
export function withoutMention(text: string, me: UserFromGetMe): string {
  const name = `@${me.username}\\b`;
  return text
    .replace(new RegExp(`^\\s*${name}[\\s,:]*`, 'i'), '')
    .replace(new RegExp(`[\\s,]*${name}\\s*$`, 'i'), '');
}
