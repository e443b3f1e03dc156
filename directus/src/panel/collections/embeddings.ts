import {
  desk,
  indexStates,
  link,
  look,
  number,
  speakers,
  state,
  technical,
  technicalGroup,
  text,
  time,
} from '#src/panel/fields.ts';
import type { CollectionData } from '#src/panel/panel.ts';
import { orange } from '#src/panel/palette.ts';
import { countedNames } from '#src/panel/texts.ts';

export const embeddings: CollectionData = {
  name: 'embeddings',
  meta: look('psychology', orange, 5, '{{content}}', {
    note: 'What can be recalled: every message, and every sentence of the latest summaries',
    translations: countedNames(['Memories', 'Memory'], ['Память', 'Воспоминание']),
  }),
  fields: {
    content: text('Text', 'Текст'),
    importance: number('Importance', 'Важность', {
      readonly: false,
      interface: 'slider',
      options: { minValue: 0, maxValue: 5, stepInterval: 0.25, alwaysShowValue: true },
      note: '$t:importance_note',
    }),
    state: state('Index', 'Индекс', indexStates),
    role: state('Speaker', 'Кто', speakers),
    created_at: time('Said', 'Сказано'),
    session_id: link('Conversation', 'Разговор', '{{user_id}} · {{chat_id}}'),
    message_id: link('Message', 'Сообщение', '{{content}}'),
    desk: desk(),
    technical: technicalGroup,
    error: technical('Why it was not indexed', 'Почему не в индексе', { width: 'full' }),
    claimed_until: time('Claimed until', 'Занято до', { group: 'technical' }),
    summary_id: technical('Summary id', 'Ид. итога'),
    terms: technical('Words', 'Слов'),
    model: technical('Model', 'Модель'),
    dimension: technical('Dimension', 'Размерность'),
    id: technical('Memory id', 'Ид. воспоминания'),
  },
};
