import { link, look, technical, technicalGroup, text, time, shown } from '#src/panel/fields.ts';
import type { CollectionData } from '#src/panel/panel.ts';
import { green } from '#src/panel/palette.ts';
import { countedNames } from '#src/panel/texts.ts';

export const conversationSummaries: CollectionData = {
  name: 'conversation_summaries',
  meta: look('summarize', green, 4, 'v{{version}} · {{session_id.chat_id}}', {
    note: 'What the bot remembers of a conversation before its last messages',
    translations: countedNames(['Summaries', 'Summary'], ['Итоги', 'Итог']),
  }),
  fields: {
    session_id: link('Conversation', 'Разговор', '{{user_id}} · {{chat_id}}'),
    version: shown('Version', 'Версия'),
    content: text('Summary', 'Итог', {
      readonly: false,
      required: true,
      validation: { content: { _regex: '\\S' } },
      note: '$t:summary_note',
    }),
    created_at: time('Written', 'Написан'),
    technical: technicalGroup,
    last_message_id: technical('Covers messages up to', 'Охватывает до сообщения'),
    id: technical('Summary id', 'Ид. итога'),
  },
};
