import type { Row } from '#src/provision/differences.ts';
import type { ViewData } from './panel.ts';
import { blue, green, grey, orange, red } from './palette.ts';

/** Widths in pixels: 680 in all stand beside the sidebar on a page of 1440. */
type Columns = Record<string, number>;

function table(columns: Columns, sort: string): Row {
  return {
    layout: 'desk-table',
    layout_query: {
      'desk-table': { page: 1, limit: 50, sort: [sort], fields: Object.keys(columns) },
    },
    layout_options: { 'desk-table': { spacing: 'cozy', widths: columns } },
  };
}

interface Bookmark {
  text: string;
  icon: string;
  color: string;
  filter: Row;
  sort?: string;
}

/** How a collection looks at first, and its shared bookmarks. */
function looks(collection: string, columns: Columns, sort: string, marks: Bookmark[]): ViewData[] {
  return [
    { collection, bookmark: null, ...table(columns, sort) },
    ...marks.map((mark) => ({
      collection,
      bookmark: `$t:${mark.text}`,
      icon: mark.icon,
      color: mark.color,
      filter: { _and: [mark.filter] },
      ...table(columns, mark.sort ?? sort),
    })),
  ];
}

const is = (field: string, value: unknown) => ({ [field]: { _eq: value } });
const isOneOf = (field: string, ...values: string[]) => ({ [field]: { _in: values } });
const mark = (text: string, icon: string, color: string, filter: Row, sort?: string): Bookmark => ({
  text,
  icon,
  color,
  filter,
  ...(sort === undefined ? {} : { sort }),
});

export function views(summaryThreshold: number): ViewData[] {
  const due = { messages_since_summary: { _gte: summaryThreshold } };
  return [
    ...looks(
      'chat_sessions',
      { user_id: 155, chat_id: 155, is_active: 114, messages_since_summary: 112, created_at: 140 },
      '-created_at',
      [
        mark('view_open', 'bolt', green, is('is_active', true)),
        mark('view_taken_over', 'support_agent', orange, { taken_over_at: { _nnull: true } }),
        mark('view_due', 'priority_high', orange, due, 'unsummarized_since'),
        mark('view_summary_failed', 'error', red, { summary_failed_at: { _nnull: true } }),
        mark('view_closed', 'lock', grey, is('is_active', false), '-closed_at'),
      ],
    ),
    ...looks(
      'users',
      {
        id: 150,
        access: 174,
        rate_limit_per_minute: 108,
        daily_token_budget: 108,
        created_at: 140,
      },
      '-created_at',
      [
        mark('view_asking', 'front_hand', orange, is('access', 'pending')),
        mark('view_blocked', 'block', red, is('access', 'blocked')),
      ],
    ),
    ...looks(
      'messages',
      { created_at: 140, role: 114, content: 162, delivery_state: 134, session_id: 130 },
      '-id',
      [
        mark('view_from_users', 'person', blue, is('role', 'user')),
        mark('view_by_operators', 'support_agent', orange, is('author', 'operator')),
        mark('view_undelivered', 'error', red, isOneOf('delivery_state', 'uncertain', 'failed')),
      ],
    ),
    ...looks(
      'conversation_summaries',
      { session_id: 150, version: 92, content: 294, created_at: 140 },
      '-id',
      [],
    ),
    ...looks(
      'embeddings',
      { created_at: 140, role: 114, importance: 120, state: 124, content: 182 },
      '-id',
      [
        mark('view_unindexed', 'schedule', grey, is('state', 'pending'), 'id'),
        mark('view_index_failed', 'error', red, is('state', 'failed')),
        mark('view_zeroed', 'visibility_off', grey, is('importance', 0)),
      ],
    ),
    ...looks(
      'turns',
      { created_at: 140, state: 144, user_id: 145, latency_ms: 122, error_code: 126 },
      '-id',
      [
        mark('view_turns_running', 'more_horiz', blue, isOneOf('state', 'received', 'answering')),
        mark('view_turns_failed', 'error', red, is('state', 'failed')),
      ],
    ),
  ];
}
