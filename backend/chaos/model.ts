import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModelBehaviour, FakeModelRequestBody } from '#test/fake-model-response.ts';
import type { History } from './history.ts';
import { chatOf, marksIn, replyMark, saidIn, versionMark } from './marks.ts';
import { readPrompt } from './prompt.ts';
import type { ChatPrompt, SummaryPrompt } from './prompt.ts';
import type { Random } from './random.ts';

/** One request that reached the model; its index in the record is its number. */
export interface ModelCall {
  at: number;
  chat: string;
  prompt: ChatPrompt | SummaryPrompt;
}

export interface ChaosModel {
  url: string;
  calls: ModelCall[];
  /** The share of calls that go wrong. */
  weather: number;
  close(): Promise<void>;
}

const vocabulary = 'tea river lamp garden winter train copper violin harbour letter'.split(' ');

/** Words that some messages share and others do not, so that there is something to recall. */
export function chatter(random: Random): string {
  return Array.from({ length: 5 }, () => random.pick(vocabulary)).join(' ');
}

/** A model that notes what it was sent, and whose replies and summaries can be known again. */
export async function startChaosModel(random: Random, history: History): Promise<ChaosModel> {
  const fake = await startFakeModel();
  const model: ChaosModel = { url: fake.url, calls: [], weather: 0, close: () => fake.close() };

  function behave(body: FakeModelRequestBody): FakeModelBehaviour {
    const prompt = readPrompt(body);
    const own = prompt.kind === 'chat' ? saidIn(prompt.asked) : prompt.messages.flatMap(saidIn);
    const chat = own[0] === undefined ? '' : chatOf(own[0]);
    const number = model.calls.push({ at: Date.now(), chat, prompt }) - 1;
    const mark =
      prompt.kind === 'chat' ? replyMark(own.at(-1) ?? '', number) : versionMark(chat, number);
    const usual = prompt.kind === 'chat' ? reply(mark) : summarize(prompt, mark);
    const behaviour = random.chance(model.weather) ? random.pick(misbehaviours(mark)) : usual;
    const what =
      prompt.kind === 'chat' ? `is asked ${own.join(' ')}` : `summarises ${own.join(' ')}`;
    history.note(`model call ${number} ${what}: ${behaviour.kind}`, chat);
    return behaviour;
  }

  function reply(mark: string): FakeModelBehaviour {
    return {
      kind: 'reply',
      text: `${mark} So you say: ${chatter(random)}.`,
      delayMs: slow(random),
      chunkDelayMs: random.chance(0.1) ? 300 : 0,
    };
  }

  /** Whatever it was given, in a sentence each. */
  function summarize(prompt: SummaryPrompt, mark: string): FakeModelBehaviour {
    const given = [prompt.previous, ...prompt.messages].flatMap(marksIn);
    const kept = given.filter((each) => !/:v\d+\}$/.test(each));
    const text = `Summary ${mark} of what was said: ${kept.join(' ')}`;
    return { kind: 'reply', text, delayMs: slow(random) };
  }

  fake.behave(behave);
  return model;
}

function slow(random: Random): number {
  return random.chance(0.1) ? random.between(500, 3_000) : random.between(5, 250);
}

/** What is stopped, or breaks off, may be kept as far as it got. */
const misbehaviours = (mark: string): FakeModelBehaviour[] => [
  { kind: 'hang' },
  { kind: 'hang', text: `${mark} Let me think` },
  { kind: 'status', status: 500 },
  { kind: 'status', status: 503 },
  { kind: 'status', status: 429, headers: { 'retry-after': '1' } },
  { kind: 'close-mid-stream', text: `${mark} Half an` },
  { kind: 'close-mid-stream', text: `${mark} Half an`, politely: true },
  { kind: 'malformed-json' },
  { kind: 'empty' },
];
