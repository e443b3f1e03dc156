import type { Row } from '#src/provision/differences.ts';
import type { DashboardData } from './panel.ts';
import { blue, green, orange, purple, red } from './palette.ts';

/** Units of the grid; 40 stand beside the sidebar on a page of 1440. */
interface Place {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Directus does not translate names of panels, so they say it in both languages. */
interface Title {
  name: string;
  icon: string;
  color: string;
}

const title = (name: string, icon: string, color: string): Title => ({ name, icon, color });

function panel(type: string, { x, y, width, height }: Place, look: Title, options: Row) {
  const place = { position_x: x, position_y: y, width, height };
  return { ...look, type, show_header: true, note: null, ...place, options };
}

const whole = { minimumFractionDigits: 0, maximumFractionDigits: 0 };

function metric(place: Place, look: Title, options: Row) {
  const { color } = look;
  return panel('metric', place, look, {
    numberStyle: 'decimal',
    notation: 'standard',
    ...whole,
    conditionalFormatting: [{ operator: '>=', value: 0, color }],
    ...options,
  });
}

function perDay(place: Place, look: Title, options: Row) {
  return panel('time-series', place, look, {
    precision: 'day',
    range: '2 weeks',
    dateField: 'created_at',
    curveType: 'smooth',
    fillType: 'gradient',
    showXAxis: true,
    showYAxis: true,
    missingData: 'null',
    decimals: 0,
    min: 0,
    color: look.color,
    ...options,
  });
}

function list(place: Place, look: Title, options: Row) {
  return panel('list', place, look, { limit: 8, linkToItem: true, ...options });
}

const count = (collection: string, filter: Row, field = 'id') => ({
  collection,
  field,
  function: 'count',
  filter: { _and: [filter] },
});

/** Figures in a row: their names are long in two languages. */
const three = (y: number) =>
  [
    { x: 1, y, width: 13, height: 6 },
    { x: 14, y, width: 13, height: 6 },
    { x: 27, y, width: 14, height: 6 },
  ] as const;
const two = (y: number) =>
  [
    { x: 1, y, width: 20, height: 6 },
    { x: 21, y, width: 20, height: 6 },
  ] as const;
const half = (x: number, y: number): Place => ({ x, y, width: 20, height: 12 });
const today = { created_at: { _gte: '$NOW(-1 day)' } };

const activity: DashboardData = {
  key: 'activity',
  name: 'Activity · Активность',
  icon: 'insights',
  note: 'Messages, people, latency and cost',
  color: purple,
  panels: [
    metric(
      three(1)[0],
      title('Open · Открыто', 'bolt', green),
      count('chat_sessions', { is_active: { _eq: true } }),
    ),
    metric(three(1)[1], title('Turns, 24 h · Ответов', 'sync_alt', blue), count('turns', today)),
    metric(three(1)[2], title('Users, 24 h · Людей', 'group', purple), {
      collection: 'turns',
      field: 'user_id',
      function: 'countDistinct',
      filter: { _and: [today] },
    }),
    metric(two(7)[0], title('Avg ms · Среднее, мс', 'timer', orange), {
      collection: 'turns',
      field: 'latency_ms',
      function: 'avg',
      filter: { _and: [today] },
    }),
    metric(
      two(7)[1],
      title('Failed, 24 h · Ошибок', 'error', red),
      count('turns', { _and: [today, { state: { _eq: 'failed' } }] }),
    ),
    perDay(half(1, 13), title('Messages a day · Сообщений в день', 'chat_bubble', blue), {
      collection: 'messages',
      function: 'count',
      valueField: 'id',
    }),
    perDay(half(21, 13), title('Users a day · Людей в день', 'group', purple), {
      collection: 'turns',
      function: 'countDistinct',
      valueField: 'user_id',
    }),
    perDay(half(1, 25), title('Cost a day, $ · Стоимость в день', 'payments', green), {
      collection: 'turns',
      function: 'sum',
      valueField: 'cost_usd',
      decimals: 4,
    }),
    perDay(half(21, 25), title('Latency, ms · Задержка, мс', 'timer', orange), {
      collection: 'turns',
      function: 'avg',
      valueField: 'latency_ms',
    }),
    perDay(half(1, 37), title('Prompt tokens a day · Токенов в день', 'toll', orange), {
      collection: 'turns',
      function: 'sum',
      valueField: 'prompt_tokens',
    }),
    perDay(half(21, 37), title('Failures a day · Ошибок в день', 'error', red), {
      collection: 'turns',
      function: 'count',
      valueField: 'id',
      filter: { _and: [{ state: { _eq: 'failed' } }] },
      // A day without any counts too; and with few, whole numbers would name two lines alike.
      missingData: '0',
      decimals: 1,
    }),
  ],
};

const health = (threshold: number): DashboardData => ({
  key: 'health',
  name: 'Health · Здоровье',
  icon: 'monitor_heart',
  note: 'What waits, what is stuck, what failed',
  color: green,
  panels: [
    metric(
      three(1)[0],
      title('Summary due · Ждут итога', 'summarize', orange),
      count('chat_sessions', { messages_since_summary: { _gte: threshold } }),
    ),
    metric(
      three(1)[1],
      title('Summary failed · Сбой', 'error', red),
      count('chat_sessions', { summary_failed_at: { _nnull: true } }),
    ),
    metric(
      three(1)[2],
      title('To index · Ждут индекса', 'schedule', blue),
      count('unentered_messages', {}, 'message_id'),
    ),
    metric(
      three(7)[0],
      title('Index lag · Не в индексе', 'schedule', blue),
      count('embeddings', { state: { _eq: 'pending' } }),
    ),
    metric(
      three(7)[1],
      title('Index failed · Сбой', 'error', red),
      count('embeddings', { state: { _eq: 'failed' } }),
    ),
    metric(
      three(7)[2],
      title('Undelivered · Не доставлено', 'outbox', red),
      count('messages', { delivery_state: { _in: ['uncertain', 'failed'] } }),
    ),
    list(half(1, 13), title('Oldest not summarised · Давно без итога', 'schedule', orange), {
      collection: 'chat_sessions',
      sortField: 'unsummarized_since',
      sortDirection: 'asc',
      filter: { _and: [{ unsummarized_since: { _nnull: true } }] },
      displayTemplate: '{{unsummarized_since}} {{user_id}} · {{chat_id}}',
    }),
    list(half(21, 13), title('Failed turns · Неудачные ответы', 'error', red), {
      collection: 'turns',
      sortField: 'id',
      sortDirection: 'desc',
      filter: { _and: [{ state: { _eq: 'failed' } }] },
      displayTemplate: '{{created_at}} {{user_id}} · {{error_code}}',
    }),
    list(half(1, 25), title('Oldest not indexed · Давно вне индекса', 'psychology', blue), {
      collection: 'embeddings',
      sortField: 'id',
      sortDirection: 'asc',
      filter: { _and: [{ state: { _neq: 'indexed' } }] },
      displayTemplate: '{{created_at}} {{state}} {{role}}',
    }),
    list(half(21, 25), title('Not delivered · Не доставлено', 'outbox', red), {
      collection: 'messages',
      sortField: 'id',
      sortDirection: 'desc',
      filter: { _and: [{ delivery_state: { _in: ['uncertain', 'failed'] } }] },
      displayTemplate: '{{created_at}} {{delivery_state}} {{content}}',
    }),
  ],
});

export const dashboards = (threshold: number): DashboardData[] => [activity, health(threshold)];
