import type { MessageEntity } from 'grammy/types';

/** Text as Telegram takes it: offsets and lengths of the entities are in UTF-16 units of the text. */
export interface Formatted {
  text: string;
  entities: MessageEntity[];
}

export function plain(text: string): Formatted {
  return { text, entities: [] };
}
