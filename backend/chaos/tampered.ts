import { chatOf, messageMark, saidIn } from './marks.ts';
import type { Evidence } from './checks/evidence.ts';
import type { ChatPrompt } from './prompt.ts';

/** What would be there if a promise had been broken: the promise, and evidence that was tampered with. */
export function tamper(evidence: Evidence): [rule: string, tampered: Evidence][] {
  const { stored, said, desk, telegram, vectors } = evidence;
  const told = stored.messages.find(({ role }) => role === 'user');
  const [mark = ''] = saidIn(told?.content ?? '');
  const chat = chatOf(mark);
  const session = told?.session_id ?? '';
  const born = stored.sessions.find(({ id }) => id === session)?.created_at ?? 0;
  const answeredIn = stored.turns.find(({ state }) => state === 'answered')?.chat_id ?? '';
  const act = {
    chat,
    sessionId: session,
    marks: [mark],
    added: '',
    known: true,
    doneAt: 0,
    late: false,
  };
  const withoutTold = stored.messages.filter((message) => message !== told);
  const inPrompts = (change: Partial<ChatPrompt>) => withChatPrompts(evidence, change);
  return [
    ['isolation', inPrompts({ window: [messageMark('another', 1)] })],
    ['isolation', { ...evidence, exports: [{ chat: 'another', json: mark }] }],
    ['no hole', inPrompts({ window: [], summary: '' })],
    ['a prompt holds what was kept, once and in order', inPrompts({ window: [mark, mark] })],
    ['the context log says what was sent', inPrompts({ version: -1 })],
    ['nothing is summarised twice or skipped', withEmptySummaries(evidence)],
    [
      'a version takes at most so many messages',
      { ...evidence, settings: { ...evidence.settings, newMessagesLimit: 0 } },
    ],
    ['never lost', { ...evidence, stored: { ...stored, messages: withoutTold } }],
    [
      'never lost',
      {
        ...evidence,
        stored: { ...stored, messages: withoutTold },
        forgettings: [{ chat, askedAt: 0, doneAt: 0, known: false }],
      },
    ],
    [
      'processed once',
      {
        ...evidence,
        stored: { ...stored, messages: [...stored.messages, ...(told ? [told] : [])] },
      },
    ],
    ['one answer', { ...evidence, stored: { ...stored, turns: [] } }],
    ['in order of arrival', { ...evidence, said: said.toReversed() }],
    [
      'every failure has its reason',
      { ...evidence, said: said.map((words) => ({ ...words, calls: [failedCall] })) },
    ],
    [
      'the operator wins',
      { ...inPrompts({ window: [mark] }), acts: [{ ...act, kind: 'delete-message' }] },
    ],
    [
      'the operator wins',
      { ...evidence, acts: [{ ...act, kind: 'edit-summary', added: '{none:edit1}' }] },
    ],
    [
      'a closed session is closed',
      {
        ...evidence,
        closings: [{ chat, sessionId: session, askedAt: born + 1, doneAt: born - 1 }],
      },
    ],
    [
      'a closed session is closed',
      {
        ...evidence,
        closings: [{ chat: answeredIn, sessionId: undefined, askedAt: Infinity, doneAt: 0 }],
      },
    ],
    [
      'a closed session is closed',
      { ...evidence, said: said.map((words, index) => ({ ...words, conversation: index })) },
    ],
    [
      'what is forgotten is gone',
      {
        ...evidence,
        forgettings: [{ chat: 'a1', askedAt: Infinity, doneAt: Infinity, known: true }],
      },
    ],
    ['delivery', { ...evidence, telegram: { ...telegram, visible: () => [] } }],
    [
      'delivery',
      {
        ...evidence,
        telegram: {
          ...telegram,
          visible: (id) => [...telegram.visible(id), ...telegram.visible(id)],
        },
      },
    ],
    [
      'never lost',
      { ...evidence, desk: { ...desk, spoken: [{ chat, mark: '{none:op1}', at: 0 }] } },
    ],
    [
      'a chat that is taken over is silent',
      { ...evidence, desk: { ...desk, holdings: [{ chat, from: 0, to: Date.now() }] } },
    ],
    ['the vector store equals the ledger', { ...evidence, vectors: { ...vectors, points: [] } }],
    ['the vector store equals the ledger', { ...evidence, vectors: { ...vectors, rows: [] } }],
  ];
}

const failedCall = {
  at: 0,
  endedAt: 0,
  accepted: true,
  status: 500,
  code: 'internal_error',
  reply: undefined,
};

function withChatPrompts(evidence: Evidence, change: Partial<ChatPrompt>): Evidence {
  const calls = evidence.calls.map((call) =>
    call.prompt.kind === 'chat' ? { ...call, prompt: { ...call.prompt, ...change } } : call,
  );
  return { ...evidence, calls };
}

function withEmptySummaries(evidence: Evidence): Evidence {
  const calls = evidence.calls.map((call) =>
    call.prompt.kind === 'summary' ? { ...call, prompt: { ...call.prompt, messages: [] } } : call,
  );
  return { ...evidence, calls };
}
