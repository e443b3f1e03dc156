import { useI18n } from 'vue-i18n';

/** Each text in English and in Russian. `{x}` is filled in. */
const texts = {
  conversation: ['Conversation', 'Разговор'],
  user: ['User', 'Пользователь'],
  assistant: ['Bot', 'Бот'],
  operator: ['Operator', 'Оператор'],
  system: ['System', 'Система'],
  tool: ['Tool', 'Инструмент'],
  earlier: ['Earlier messages', 'Более ранние сообщения'],
  no_messages: ['Nothing was said here yet.', 'Здесь пока ничего не сказано.'],
  save_first: ['Save the row first.', 'Сначала сохраните запись.'],
  why: ['What the bot was sent, and why', 'Что было отправлено модели и почему'],
  no_context: [
    'Nothing is kept of what this reply was made from.',
    'Не сохранилось, из чего составлен этот ответ.',
  ],
  instruction: ['Instruction', 'Инструкция'],
  summary: ['Summary', 'Итог'],
  summary_version: ['Summary, version {n}', 'Итог, версия {n}'],
  no_summary: ['No summary yet', 'Итога пока нет'],
  window: ['Window: {n} messages verbatim', 'Окно: {n} сообщений дословно'],
  recalled: ['Recalled: {n}', 'Вспомнено: {n}'],
  recalled_none: ['Nothing was recalled', 'Ничего не вспомнилось'],
  message: ['The message', 'Само сообщение'],
  left_out: ['Left out', 'Не вошло'],
  left_out_nothing: ['Nothing was left out', 'Вошло всё'],
  left_messages: ['{n} messages (no room)', '{n} сообщений (не хватило места)'],
  left_unanswered: ['{n} messages of unanswered turns', '{n} сообщений без ответа'],
  left_memories: ['{n} memories (no room)', '{n} воспоминаний (не хватило места)'],
  tokens: ['{n} tokens', '{n} токенов'],
  budget: ['{n} of {max} tokens (estimated)', '{n} из {max} токенов (оценка)'],
  counted: [
    '{prompt} + {completion} tokens (provider)',
    '{prompt} + {completion} токенов (провайдер)',
  ],
  score: ['score {n}', 'оценка {n}'],
  from_message: ['message', 'сообщение'],
  from_summary: ['summary', 'итог'],
  erased: ['(erased since)', '(уже стёрто)'],
  memory: ['Memory', 'Память'],
  edit: ['Correct', 'Исправить'],
  save: ['Save', 'Сохранить'],
  cancel: ['Cancel', 'Отмена'],
  saved: ['Saved. The next reply uses it.', 'Сохранено. Следующий ответ это учтёт.'],
  not_summarised: ['Not in a summary: {n}', 'Вне итога: {n}'],
  summary_failed: ['The last summary failed: {why}', 'Последний итог не удался: {why}'],
  opened: ['opened {when}', 'открыт {when}'],
  closed_at: ['closed {when}', 'закрыт {when}'],
  open: ['Open', 'Открыт'],
  closed: ['Closed', 'Закрыт'],
  taken_over: ['Taken over: the bot is silent', 'Перехвачен: бот молчит'],
  say: ['Write as the operator…', 'Написать от имени оператора…'],
  send: ['Send', 'Отправить'],
  queued_to_send: ['It waits to be sent.', 'Сообщение ждёт отправки.'],
  take_over: ['Take over', 'Перехватить'],
  hand_back: ['Hand back', 'Вернуть боту'],
  took_over: ['The bot is silent until you hand back.', 'Бот молчит, пока вы не вернёте разговор.'],
  handed_back: ['The bot answers again.', 'Бот снова отвечает.'],
  summarize: ['Summarise now', 'Подвести итог'],
  rebuild: ['Rebuild summaries', 'Пересобрать итоги'],
  rebuild_confirm: [
    'The summary of this conversation is written anew from its messages, as a new version, without what was corrected by hand in those before. They stay, to be compared.',
    'Итоги разговора будут написаны заново по его сообщениям, новой версией: без того, что исправлено вручную в прежних. Прежние останутся для сравнения.',
  ],
  queued: ['It was asked for and happens shortly.', 'Запрошено, скоро будет готово.'],
  close: ['Close', 'Закрыть'],
  close_confirm: [
    'The next message opens a new conversation.',
    'Следующее сообщение откроет новый разговор.',
  ],
  closed_now: ['The conversation is closed.', 'Разговор закрыт.'],
  forget_chat: ['Forget the chat', 'Забыть чат'],
  forget_user: ['Forget the user', 'Забыть пользователя'],
  forget_confirm: [
    'This erases {total} rows for good: {rows}.',
    'Будет навсегда стёрто строк: {total} ({rows}).',
  ],
  forgotten: ['Erased: {total} rows.', 'Стёрто строк: {total}.'],
  delete: ['Delete', 'Удалить'],
  delete_confirm: [
    'The message goes from every later prompt, search and index.',
    'Сообщение исчезнет из следующих запросов, поиска и индекса.',
  ],
  deleted: ['Deleted.', 'Удалено.'],
  importance: ['Importance', 'Важность'],
  importance_0: ['never recall', 'не вспоминать'],
  importance_1: ['normal', 'обычная'],
  importance_3: ['recall more', 'вспоминать чаще'],
  importance_other: ['{n}', '{n}'],
  retry: ['Try again', 'Повторить'],
  retry_sending: ['Send again', 'Отправить снова'],
  retried: ['It is tried again.', 'Повторяем.'],
  retry_index: ['Retry all failed', 'Повторить все неудачные'],
  retried_index: ['{n} rows are indexed again.', 'Снова в очереди на индекс: {n}.'],
  approve: ['Let in', 'Допустить'],
  block: ['Block', 'Заблокировать'],
  approved: ['The user may speak.', 'Пользователь допущен.'],
  blocked: ['The user is blocked.', 'Пользователь заблокирован.'],
  conversations: ['Conversations', 'Разговоры'],
  no_conversations: ['None yet', 'Пока нет'],
  open_conversation: ['Open the conversation', 'Открыть разговор'],
  turn_failed: ['No reply: {why}', 'Ответа нет: {why}'],
  export: ['Export', 'Экспорт'],
  viewer: ['You may read here, not change.', 'Здесь вам можно только читать.'],
  state_received: ['waiting', 'ждёт'],
  state_answering: ['is being answered', 'отвечает'],
  state_failed: ['failed', 'ошибка'],
  state_silenced: ['for the operator', 'для оператора'],
  state_cancelled: ['stopped', 'остановлено'],
  delivery_pending: ['waits to be sent', 'ждёт отправки'],
  delivery_sending: ['is being sent', 'отправляется'],
  delivery_sent: ['sent', 'отправлено'],
  delivery_uncertain: ['perhaps sent', 'может быть, отправлено'],
  delivery_failed: ['not sent', 'не отправлено'],
  backend_unreachable: [
    'The backend does not answer. You can go on reading; try this again later.',
    'Сервер бота не отвечает. Читать можно, действие повторите позже.',
  ],
  desk_not_configured: [
    'DESK_API_KEY is not set for the panel, so it cannot ask the backend.',
    'Для панели не задан DESK_API_KEY, обратиться к серверу нельзя.',
  ],
  operator_not_allowed: ['Only operators may do this.', 'Это могут только операторы.'],
  not_found: ['It is not there any more.', 'Этого больше нет.'],
  failed: ['That did not work: {why}', 'Не получилось: {why}'],
} as const satisfies Record<string, readonly [en: string, ru: string]>;

export type TextKey = keyof typeof texts;
export type Say = (key: TextKey, values?: Record<string, string | number>) => string;

/** Texts in the language of the signed-in person, and dates with them. */
export function useTexts(): { say: Say; when: (time: string) => string; isText: typeof isText } {
  const { locale } = useI18n();
  return {
    say: (key, values = {}) => {
      const text: string = texts[key][locale.value.startsWith('ru') ? 1 : 0];
      return text.replaceAll(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ''));
    },
    when: (time) =>
      new Date(time).toLocaleString(locale.value, { dateStyle: 'medium', timeStyle: 'short' }),
    isText,
  };
}

export function isText(key: string): key is TextKey {
  return key in texts;
}
