import {
  desk,
  folded,
  look,
  number,
  rows,
  shown,
  technical,
  technicalGroup,
  time,
} from '#src/panel/fields.ts';
import type { CollectionData } from '#src/panel/panel.ts';
import { green, grey, purple, red } from '#src/panel/palette.ts';
import { countedNames } from '#src/panel/texts.ts';

export function chatSessions(summaryThreshold: number): CollectionData {
  return {
    name: 'chat_sessions',
    meta: look('forum', purple, 1, '{{user_id}} · {{chat_id}}', {
      note: 'A conversation of a chat, from its first message to its reset',
      translations: countedNames(['Conversations', 'Conversation'], ['Разговоры', 'Разговор']),
    }),
    fields: {
      desk: desk(),
      history: folded('History', 'История', 'history'),
      summaries: rows(
        'Summaries',
        'Итоги',
        { template: 'v{{version}} · {{content}}', sort: '-version', limit: 10 },
        { group: 'history' },
      ),
      turns: rows(
        'Turns',
        'Ответы',
        { template: '{{state}} {{model}} {{created_at}}', sort: '-id', limit: 10 },
        { group: 'history' },
      ),
      memories: rows(
        'Memories',
        'Память',
        { template: '{{importance}} · {{content}}', sort: '-id', limit: 10 },
        { group: 'history' },
      ),
      technical: technicalGroup,
      user_id: technical('User', 'Пользователь'),
      chat_id: technical('Chat', 'Чат'),
      channel: technical('Channel', 'Канал'),
      is_active: shown('State', 'Состояние', {
        special: ['cast-boolean'],
        interface: 'boolean',
        options: { label: '$t:active' },
        display: 'boolean',
        display_options: {
          labelOn: '$t:active',
          labelOff: '$t:closed',
          iconOn: 'bolt',
          iconOff: 'lock',
          colorOn: green,
          colorOff: grey,
        },
        group: 'technical',
      }),
      created_at: time('Opened', 'Открыт', { group: 'technical' }),
      closed_at: time('Closed', 'Закрыт', { group: 'technical' }),
      messages_since_summary: technical('Backlog', 'Вне итога', {
        display: 'formatted-value',
        display_options: {
          conditionalFormatting: [
            { operator: 'gte', value: summaryThreshold, color: red, icon: 'priority_high' },
          ],
        },
      }),
      unsummarized_since: time('Oldest of those', 'Самое старое из них', { group: 'technical' }),
      summary_error: technical('Why the summary failed', 'Почему итог не удался', {
        width: 'full',
      }),
      summary_failed_at: time('Summary failed', 'Итог не удался', { group: 'technical' }),
      summary_failures: number('Failed summaries', 'Неудачных итогов', { group: 'technical' }),
      summary_retry_at: time('Tried again', 'Повтор', { group: 'technical' }),
      summary_request: technical('Summary asked for', 'Запрошен итог'),
      summary_requested_at: time('Asked for', 'Запрошен', { group: 'technical' }),
      taken_over_at: time('Taken over', 'Перехвачен', { group: 'technical' }),
      taken_over_by: technical('Taken over by', 'Перехватил'),
      last_message_id: technical('Last message id', 'Последнее сообщение'),
      id: technical('Session id', 'Ид. разговора', { width: 'full' }),
    },
  };
}
