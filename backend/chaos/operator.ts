import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { connected } from './connected.ts';
import type { History } from './history.ts';
import { editMark, saidIn } from './marks.ts';
import { randomOf } from './random.ts';
import type { Closing } from './speech.ts';

/** What the operator did by hand, and how it stood with the summaries at its commit. */
export interface Act {
  kind: 'delete-message' | 'edit-message' | 'edit-summary';
  chat: string;
  sessionId: string;
  /** Of the message; for a summary none. */
  marks: string[];
  /** What the edit added; of a deletion nothing. */
  added: string;
  /** false: the connection broke off, so it may have been done. */
  known: boolean;
  doneAt: number;
  /** A message: a summary told of it already. A summary: a newer one stood there already. */
  late: boolean;
}

export interface Operator {
  acts: Act[];
  closings: Closing[];
  work(end: AbortSignal): Promise<void>;
  deleteOne(): Promise<void>;
}

type Kind = Act['kind'] | 'close-session';

const kinds: { kind: Kind; weight: number }[] = [
  { kind: 'delete-message', weight: 3 },
  { kind: 'edit-message', weight: 3 },
  { kind: 'edit-summary', weight: 4 },
  { kind: 'close-session', weight: 1 },
];

/** One who edits the tables by hand, as the admin panel does: plain statements, no locks taken first. */
export function createOperator(seed: number, databaseUrl: string, history: History): Operator {
  const random = randomOf(seed, 'operator');
  const operator: Operator = {
    acts: [],
    closings: [],
    work,
    deleteOne: () => connected(databaseUrl, (client) => act(client, 'delete-message')),
  };

  async function work(end: AbortSignal): Promise<void> {
    while (!end.aborted) {
      await sleep(random.between(200, 1_800));
      const { kind } = random.weighted(kinds);
      await connected(databaseUrl, (client) => act(client, kind)).catch((error: unknown) =>
        history.note(`operator: ${String(error)}`),
      );
    }
  }

  async function act(client: Client, kind: Kind): Promise<void> {
    const { rows } = await client.query<Target>(targets[kind]);
    if (rows.length === 0) return;
    const target = random.pick(rows);
    if (kind === 'close-session') return await close(client, target);
    const marks = kind === 'edit-summary' ? [] : saidIn(target.content);
    const added =
      kind === 'delete-message' ? '' : ` ${editMark(target.chat_id, operator.acts.length)}`;
    const made: Act = {
      kind,
      chat: target.chat_id,
      sessionId: target.session_id,
      marks,
      added: added.trim(),
      known: false,
      doneAt: 0,
      late: true,
    };
    await client.query('begin');
    const done = await client.query(
      statements[kind],
      added === '' ? [target.id] : [target.id, added],
    );
    const state = await client.query<{ late: boolean }>(lateness[kind], [
      target.id,
      target.session_id,
    ]);
    if (done.rowCount === 0) return;
    made.late = state.rows[0]?.late ?? true;
    operator.acts.push(made);
    await client.query('commit').finally(() => (made.doneAt = Date.now()));
    made.known = true;
    history.note(
      `operator: ${[kind, ...marks, made.added].join(' ')} (${[`id ${target.id}`, ...target.vectors, ...(made.late ? ['late'] : [])].join(', ')})`,
      made.chat,
    );
  }

  async function close(client: Client, target: Target): Promise<void> {
    const askedAt = Date.now();
    await client.query('update chat_sessions set is_active = false where id = $1', [target.id]);
    const { chat_id: chat, session_id: sessionId } = target;
    operator.closings.push({ chat, askedAt, doneAt: Date.now(), sessionId });
    history.note(`operator: closes session ${sessionId}`, chat);
  }

  return operator;
}

interface Target {
  id: string;
  chat_id: string;
  session_id: string;
  content: string;
  /** Of a message: `vector 7`. */
  vectors: string[];
}

const recentMessages = `
  select m.id, s.chat_id, m.session_id, m.content, array(
      select 'vector ' || id from embeddings where message_id = m.id) as vectors
    from chat_sessions s,
    lateral (select * from messages where session_id = s.id order by id desc limit 12) as m
  where s.is_active`;

const targets: Record<Kind, string> = {
  'delete-message': recentMessages,
  'edit-message': recentMessages,
  'edit-summary': `
    select distinct on (s.id) c.id, s.chat_id, c.session_id, c.content, '{}'::text[] as vectors
    from chat_sessions s join conversation_summaries c on c.session_id = s.id
    where s.is_active order by s.id, c.version desc`,
  'close-session': `
    select id, chat_id, id as session_id, '' as content, '{}'::text[] as vectors
    from chat_sessions where is_active`,
};

const statements: Record<Act['kind'], string> = {
  'delete-message': 'delete from messages where id = $1',
  'edit-message': 'update messages set content = content || $2 where id = $1',
  'edit-summary': 'update conversation_summaries set content = content || $2 where id = $1',
};

const isSummarized = 'select latest_watermark($2) >= $1::bigint as late';

/** Asked in the same transaction: whoever would change the answer waits for its end. */
const lateness: Record<Act['kind'], string> = {
  'delete-message': isSummarized,
  'edit-message': isSummarized,
  'edit-summary': `
    select id <> $1::bigint as late from conversation_summaries
    where session_id = $2 order by version desc limit 1`,
};
