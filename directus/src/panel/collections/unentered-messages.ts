import { look, technical } from '#src/panel/fields.ts';
import type { CollectionData } from '#src/panel/panel.ts';
import { orange } from '#src/panel/palette.ts';
import { countedNames } from '#src/panel/texts.ts';

/** For the dashboard, which counts it. */
export const unenteredMessages: CollectionData = {
  name: 'unentered_messages',
  meta: look('schedule', orange, 7, '{{message_id}}', {
    hidden: true,
    note: 'New messages that recall does not know yet',
    translations: countedNames(
      ['Messages to index', 'Message to index'],
      ['Ждут индекса', 'Ждёт индекса'],
    ),
  }),
  fields: { message_id: technical('Message id', 'Ид. сообщения', { group: null }) },
};
