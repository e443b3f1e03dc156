export type Text = { 'en-US': string; 'ru-RU': string };

const of = (en: string, ru: string): Text => ({ 'en-US': en, 'ru-RU': ru });

/** Wherever Directus translates a string, `$t:key` is one of these. */
export const texts: Record<string, Text> = {
  user: of('User', 'Человек'),
  assistant: of('Bot', 'Бот'),
  system: of('System', 'Система'),
  tool: of('Tool', 'Инструмент'),
  operator: of('Operator', 'Оператор'),
  active: of('Open', 'Открыт'),
  closed: of('Closed', 'Закрыт'),
  received: of('Waiting', 'Ждёт'),
  answering: of('Answering', 'Отвечает'),
  answered: of('Answered', 'Отвечено'),
  failed: of('Failed', 'Ошибка'),
  cancelled: of('Stopped', 'Остановлено'),
  silenced: of('Taken over', 'Перехвачен'),
  pending: of('Pending', 'Ожидает'),
  sending: of('Sending', 'В отправке'),
  sent: of('Sent', 'Отправлено'),
  uncertain: of('Uncertain', 'Неизвестно'),
  indexed: of('Indexed', 'В индексе'),
  unknown: of('Not decided', 'Не решено'),
  asked: of('Asks to be let in', 'Просит доступ'),
  approved: of('Approved', 'Допущен'),
  blocked: of('Blocked', 'Заблокирован'),
  user_id_note: of('As the channel knows them', 'Как его знает канал'),
  rate_limit_per_minute_note: of(
    'Messages. Empty: as for everybody; 0: no limit.',
    'Сообщений. Пусто: как у всех; 0: без ограничения.',
  ),
  daily_token_budget_note: of(
    'Tokens. Empty: as for everybody; 0: no limit.',
    'Токенов. Пусто: как у всех; 0: без ограничения.',
  ),
  summary_note: of(
    'The next reply uses what stands here, and the next summary builds on it.',
    'Следующий ответ опирается на этот текст, следующий итог его продолжает.',
  ),
  importance_note: of(
    'Multiplies how well it is found; 0: never recalled.',
    'Умножает оценку при поиске; 0: никогда не вспоминать.',
  ),
  view_open: of('Still open', 'Открытые'),
  view_taken_over: of('Taken over', 'Перехваченные'),
  view_due: of('Summary due', 'Ждут итога'),
  view_summary_failed: of('Summary failed', 'Итог не удался'),
  view_closed: of('Closed ones', 'Закрытые'),
  view_from_users: of('From users', 'От людей'),
  view_by_operators: of('By operators', 'От операторов'),
  view_undelivered: of('Not delivered', 'Не доставлено'),
  view_turns_failed: of('Failed turns', 'Ошибки ответов'),
  view_turns_running: of('Running turns', 'В работе'),
  view_unindexed: of('Not indexed', 'Не в индексе'),
  view_index_failed: of('Failed to index', 'Ошибки индекса'),
  view_zeroed: of('Never recalled', 'Не вспоминать'),
  view_asking: of('Ask to be let in', 'Просят доступ'),
  view_blocked: of('Blocked', 'Заблокированы'),
};

export type Labelled = {
  language: string;
  translation: string;
  singular?: string;
  plural?: string;
};

/** A name in both languages, as Directus keeps it on collections and fields. */
export function names(en: string, ru: string): Labelled[] {
  return [
    { language: 'en-US', translation: en },
    { language: 'ru-RU', translation: ru },
  ];
}

export function countedNames(
  [plural, singular]: [string, string],
  [pluralRu, singularRu]: [string, string],
): Labelled[] {
  return [
    { language: 'en-US', translation: plural, singular, plural },
    { language: 'ru-RU', translation: pluralRu, singular: singularRu, plural: pluralRu },
  ];
}
