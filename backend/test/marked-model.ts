import { startFakeModel } from './fake-model.ts';
import type { FakeModelBehaviour, FakeModelRequestBody } from './fake-model-response.ts';

export interface MarkedModel {
  url: string;
  /** What was wrong with a prompt: a hole, a repetition, something of another chat. */
  violations: string[];
  /** How many markers of its chat a prompt lacked, by the marker that was answered. */
  missing: Map<string, number>;
  summaryCalls: number;
  /** From now on: what comes back instead of the chat's reply or the summary; undefined for the usual. */
  onChat(behave: OnChat): void;
  onSummary(behave: OnSummary): void;
  /** The chat's next prompt begins a new session. */
  forget(chat: string): void;
  close(): Promise<void>;
}

type Behaviour = FakeModelBehaviour | undefined | Promise<FakeModelBehaviour | undefined>;
type OnChat = (marker: string, body: FakeModelRequestBody) => Behaviour;
type OnSummary = (body: FakeModelRequestBody) => Behaviour;

const asUsual = () => undefined;

const pattern = /\[[\w-]+:\d+r?\]/g;

/** The marker of one message: in a chat's n-th message of a user, or (`r`) in the reply to it. */
export function mark(chat: string, index: number): string {
  return `[${chat}:${index}]`;
}

/**
 * A model that sees what the memory keeps. Its replies carry a marker like the messages they answer,
 * its summaries list all markers they were given, and every prompt of a chat is checked to hold
 * every marker of the answered turns before it: once, or once more where summary and window meet.
 */
export async function startMarkedModel(delayMs: () => number = () => 0): Promise<MarkedModel> {
  const fake = await startFakeModel();
  const answered = new Map<string, string[]>();
  let onChat: OnChat = asUsual;
  let onSummary: OnSummary = asUsual;

  async function summarize(body: FakeModelRequestBody): Promise<FakeModelBehaviour> {
    model.summaryCalls += 1;
    const markers = new Set(body.messages.flatMap(({ content }) => content.match(pattern) ?? []));
    const text = `The user and the assistant spoke of ${[...markers].join(' ')}`;
    return (await onSummary(body)) ?? { kind: 'reply', text, delayMs: delayMs() };
  }

  async function reply(body: FakeModelRequestBody): Promise<FakeModelBehaviour> {
    const marker = body.messages.at(-1)?.content.match(pattern)?.[0] ?? '';
    const chat = marker.slice(1, marker.indexOf(':'));
    const before = answered.get(chat) ?? [];
    check(marker, before, body);
    const special = await onChat(marker, body);
    if (special !== undefined) return special;
    const answer = marker.replace(']', 'r]');
    answered.set(chat, [...before, marker, answer]);
    return { kind: 'reply', text: `${answer} So you say.`, delayMs: delayMs() };
  }

  function check(marker: string, before: string[], { messages }: FakeModelRequestBody): void {
    const found: string[][] = messages
      .slice(0, -1)
      .map(({ content }) => content.match(pattern) ?? []);
    const [summary = [], ...rest] = found;
    const window = rest.flat();
    const shown = new Set([...summary, ...window]);
    const known = new Set(before);
    const lacking = before.filter((item) => !shown.has(item));
    const foreign = [...shown].filter((item) => !known.has(item));
    const twice = window.filter((item) => summary.includes(item));
    model.missing.set(marker, lacking.length);
    if (foreign.length > 0) report(`knows ${foreign.join()}`);
    if (new Set(summary).size < summary.length) report('has a summary with repetitions');
    if (new Set(window).size < window.length) report('has a window with repetitions');
    if (twice.join() !== window.slice(0, twice.length).join()) {
      report(`repeats ${twice.join()} of the summary not where the window begins`);
    }
    if (lacking.length > 0) report(`lacks ${lacking.length}: ${lacking.slice(0, 5).join()}`);
    function report(problem: string): void {
      model.violations.push(`the prompt of ${marker} ${problem}`);
    }
  }

  fake.behave((body) => (body.max_tokens === undefined ? reply(body) : summarize(body)));
  const model: MarkedModel = {
    url: fake.url,
    violations: [],
    missing: new Map(),
    summaryCalls: 0,
    onChat: (behave) => (onChat = behave),
    onSummary: (behave) => (onSummary = behave),
    forget: (chat) => answered.delete(chat),
    close: () => fake.close(),
  };
  return model;
}
