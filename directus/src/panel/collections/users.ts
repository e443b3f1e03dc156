import {
  accessStates,
  desk,
  look,
  number,
  shown,
  state,
  technicalGroup,
  time,
  technical,
} from '#src/panel/fields.ts';
import type { CollectionData } from '#src/panel/panel.ts';
import { blue } from '#src/panel/palette.ts';
import { countedNames } from '#src/panel/texts.ts';

/** Empty is the default of all, 0 is none. */
const limit = (field: string) => ({
  readonly: false,
  note: `$t:${field}_note`,
  interface: 'input',
  options: { min: 0, max: 2_000_000_000, step: 1, placeholder: '—' },
  validation: { _or: [{ [field]: { _null: true } }, { [field]: { _gte: 0 } }] },
});

export const users: CollectionData = {
  name: 'users',
  meta: look('group', blue, 2, '{{id}}', {
    note: 'Users about whom something was decided or counted',
    translations: countedNames(['Users', 'User'], ['Пользователи', 'Пользователь']),
  }),
  fields: {
    id: shown('User', 'Пользователь', {
      readonly: false,
      required: true,
      note: '$t:user_id_note',
    }),
    access: state('Access', 'Доступ', accessStates, { readonly: false }),
    rate_limit_per_minute: number('A minute', 'В минуту', limit('rate_limit_per_minute')),
    daily_token_budget: number('A day', 'В день', limit('daily_token_budget')),
    desk: desk(),
    technical: technicalGroup,
    pairing_code: technical('Pairing code', 'Код доступа'),
    tokens_used: technical('Tokens used', 'Потрачено токенов'),
    usage_day: technical('On the day (UTC)', 'За день (UTC)'),
    created_at: time('Known since', 'Известен с', { group: 'technical' }),
  },
};
