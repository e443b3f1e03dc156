import {
  desk,
  link,
  look,
  number,
  shown,
  state,
  technical,
  technicalGroup,
  text,
  time,
  turnStates,
} from '#src/panel/fields.ts';
import type { CollectionData } from '#src/panel/panel.ts';
import { purple } from '#src/panel/palette.ts';
import { countedNames } from '#src/panel/texts.ts';

export const turns: CollectionData = {
  name: 'turns',
  meta: look('sync_alt', purple, 6, '{{state}} {{user_id}} · {{chat_id}}', {
    note: 'A message and its reply: what the model was sent, how long it took, what it cost',
    translations: countedNames(['Turns', 'Turn'], ['Ответы', 'Ответ']),
  }),
  fields: {
    state: state('State', 'Состояние', turnStates),
    created_at: time('When', 'Когда'),
    desk: desk(),
    session_id: link('Conversation', 'Разговор', '{{user_id}} · {{chat_id}}'),
    model: shown('Model', 'Модель'),
    latency_ms: number('Took (ms)', 'Заняло (мс)'),
    cost_usd: number('Cost ($)', 'Стоимость ($)', { display_options: { prefix: '$' } }),
    prompt_tokens: number('Prompt tokens', 'Токенов запроса'),
    completion_tokens: number('Reply tokens', 'Токенов ответа'),
    error_code: shown('Error', 'Ошибка'),
    error: shown('Why', 'Почему', { width: 'full' }),
    technical: technicalGroup,
    user_id: technical('User', 'Пользователь'),
    chat_id: technical('Chat', 'Чат'),
    finish_reason: technical('Ended by', 'Чем кончилось'),
    attempts: technical('Attempts', 'Попыток'),
    ended_at: time('Ended', 'Закончен', { group: 'technical' }),
    lease_expires_at: time('Claimed until', 'Занят до', { group: 'technical' }),
    cancel_requested_at: time('Stop asked for', 'Просили остановить', { group: 'technical' }),
    client_message_id: technical('Id in the channel', 'Ид. в канале'),
    tokens: technical('Tokens of the message', 'Токенов сообщения'),
    tokens_reserved: technical('Tokens reserved', 'Токенов в запасе'),
    text: text('Waiting message', 'Ждущее сообщение', { group: 'technical' }),
    user_message_id: technical('Message id', 'Ид. сообщения'),
    reply_message_id: technical('Reply id', 'Ид. реплики'),
    id: technical('Turn id', 'Ид. ответа'),
    context: { hidden: true, readonly: true, special: ['cast-json'], interface: 'input-code' },
    request_hash: { hidden: true, readonly: true, interface: 'input' },
  },
};
