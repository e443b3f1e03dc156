import { chatOf, isReply, marksIn, saidIn } from '../marks.ts';
import type { ChatPrompt, SummaryPrompt } from '../prompt.ts';
import { isDeleted, listAnswered, messagesByMark, unansweredIds } from './evidence.ts';
import type { Evidence, Violation } from './evidence.ts';

/** 1: what was said before in the session stands in the prompt of every reply, or in its summary. */
export function checkNoHole(evidence: Evidence): Violation[] {
  const { messages } = evidence.stored;
  const unanswered = unansweredIds(evidence);
  return listAnswered(evidence).flatMap(({ turn, prompt, call }) => {
    const shown = new Set([prompt.summary, ...prompt.window].flatMap(saidIn));
    const lacking = messages
      .filter(
        ({ id, session_id: session }) =>
          session === turn.session_id && id < (turn.user_message_id ?? 0),
      )
      .filter(({ id }) => !unanswered.has(id))
      .flatMap(({ content }) => saidIn(content))
      .filter((mark) => !shown.has(mark));
    if (lacking.length === 0) return [];
    return {
      rule: 'no hole',
      chat: turn.chat_id,
      about: [...lacking.slice(0, 3), ...saidIn(prompt.asked), turn.session_id],
      text: `the prompt of call ${call}, which answers ${saidIn(prompt.asked).join(' ')}, lacks ${lacking.join(' ')}`,
    };
  });
}

/** 5: no prompt and no export holds anything of another chat. */
export function checkIsolation({ calls, exports }: Evidence): Violation[] {
  const exported = exports.flatMap(({ chat, json }) => {
    const foreign = marksIn(json).filter((mark) => chatOf(mark) !== chat);
    const text = `the export of chat ${chat} holds ${foreign.join(' ')}`;
    return foreign.length === 0 ? [] : { rule: 'isolation', chat, about: foreign, text };
  });
  const sent = calls.flatMap(({ prompt, chat }, call) => {
    const foreign = partsOf(prompt)
      .flatMap(marksIn)
      .filter((mark) => chatOf(mark) !== chat);
    if (foreign.length === 0) return [];
    return {
      rule: 'isolation',
      chat,
      about: foreign,
      text: `the prompt of call ${call} of chat ${chat} holds ${foreign.join(' ')}`,
    };
  });
  return [...sent, ...exported];
}

/** Each message once and in order; and only what was kept, of this conversation. */
export function checkPrompts(evidence: Evidence): Violation[] {
  const stored = messagesByMark(evidence);
  const deleted = isDeleted(evidence);
  return evidence.calls.flatMap(({ prompt, chat }, call) => {
    if (prompt.kind !== 'chat') return [];
    const asked = saidIn(prompt.asked);
    const window = prompt.window.flatMap(saidIn);
    const session = stored.get(asked[0] ?? '')?.session_id;
    const report = (marks: string[], what: string): Violation[] =>
      marks.length === 0
        ? []
        : [
            {
              rule: 'a prompt holds what was kept, once and in order',
              chat,
              about: [...marks, ...asked],
              text: `the prompt of call ${call}, which answers ${asked.join(' ')}, ${what} ${marks.join(' ')}`,
            },
          ];
    const all = [...saidIn(prompt.summary), ...window];
    return [
      ...report(
        all.filter((mark) => isReply(mark) && !stored.has(mark) && !deleted(mark)),
        'holds replies that were not kept:',
      ),
      ...report(
        session === undefined
          ? []
          : all.filter((mark) => (stored.get(mark)?.session_id ?? session) !== session),
        'holds what was said in another conversation:',
      ),
      ...report(repeated(window), 'repeats in its window'),
      ...report(repeated(saidIn(prompt.summary)), 'repeats in its summary'),
      ...report(misplaced(prompt), 'repeats of its summary, not where the window begins:'),
    ];
  });
}

/** A turn's context log says what the model was sent. */
export function checkContextLogs(evidence: Evidence): Violation[] {
  return listAnswered(evidence).flatMap(({ turn, prompt, call }) => {
    const log = turn.context;
    const told = [
      log?.summary?.version ?? 0,
      log?.window?.messages ?? 0,
      log?.recalled?.length ?? 0,
      log?.left_out?.messages ?? 0,
    ];
    const sent = [prompt.version, prompt.window.length, prompt.recalled.length, 0];
    if (told.join() === sent.join()) return [];
    return {
      rule: 'the context log says what was sent',
      chat: turn.chat_id,
      about: saidIn(prompt.asked),
      text: `turn ${turn.id} logs version, window, recalled, left out ${told.join()}; call ${call} was sent ${sent.join()}`,
    };
  });
}

function repeated(marks: string[]): string[] {
  return marks.filter((mark, index) => marks.indexOf(mark) < index);
}

/** What summary and window share stands at the window's beginning. */
function misplaced({ summary, window }: ChatPrompt): string[] {
  const covered = new Set(saidIn(summary));
  const marks = window.flatMap(saidIn);
  const first = marks.findIndex((mark) => !covered.has(mark));
  return first === -1 ? [] : marks.slice(first).filter((mark) => covered.has(mark));
}

function partsOf(prompt: ChatPrompt | SummaryPrompt): string[] {
  if (prompt.kind === 'summary') return [prompt.previous, ...prompt.messages];
  return [
    prompt.summary,
    ...prompt.window,
    ...prompt.recalled.map(({ text }) => text),
    prompt.asked,
  ];
}
