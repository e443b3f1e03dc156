import {
  authors,
  deliveryStates,
  desk,
  link,
  look,
  shown,
  speakers,
  state,
  technical,
  technicalGroup,
  text,
  time,
} from '#src/panel/fields.ts';
import type { CollectionData } from '#src/panel/panel.ts';
import { blue } from '#src/panel/palette.ts';
import { countedNames } from '#src/panel/texts.ts';

export const messages: CollectionData = {
  name: 'messages',
  meta: look('chat_bubble', blue, 3, '{{role}} {{content}}', {
    note: 'Every word of every conversation',
    translations: countedNames(['Messages', 'Message'], ['Сообщения', 'Сообщение']),
  }),
  fields: {
    role: state('Speaker', 'Кто', speakers),
    created_at: time('When', 'Когда'),
    content: text('Text', 'Текст'),
    session_id: link('Conversation', 'Разговор', '{{user_id}} · {{chat_id}}'),
    delivery_state: state('Delivery', 'Доставка', deliveryStates),
    desk: desk(),
    technical: technicalGroup,
    author: state('Written by', 'Написал', authors, { group: 'technical' }),
    operator_id: technical('Operator', 'Оператор'),
    delivery_error: technical('Why it was not delivered', 'Почему не доставлено'),
    delivery_channel: technical('Channel', 'Канал'),
    delivery_due_at: time('Delivery due', 'Отправить', { group: 'technical' }),
    channel_message_id: technical('Id in the channel', 'Ид. в канале'),
    tokens: technical('Tokens', 'Токены'),
    turn_id: technical('Turn id', 'Ид. ответа'),
    id: shown('Message id', 'Ид. сообщения', { group: 'technical' }),
  },
};
