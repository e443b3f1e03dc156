import { setImmediate } from 'node:timers/promises';
import type { CompleteOptions, Completion, Model, PromptMessage } from './model.ts';
import { quoteSummary } from './offline-summary.ts';
import { relevanceOf, wordsOf } from './relevance.ts';

const mark = '[offline]';
const howToGetAModel =
  'No model key is set, so I can only quote. For real answers set OPENROUTER_API_KEY, or LLM_BASE_URL and LLM_MODEL.';
const longestQuote = 300;
const sentenceSegmenter = new Intl.Segmenter(undefined, { granularity: 'sentence' });

/** Something remembered that may be quoted, and the words that say where it comes from. */
interface Quote {
  text: string;
  source: string;
  /** From 0 to 1: what the user said counts more than what the user was told. */
  weight: number;
}

/** The deterministic model for running without a key or network: it quotes what it was given. */
export function createOfflineModel(): Model {
  return { name: 'offline', complete };
}

async function complete(
  prompt: PromptMessage[],
  { signal, onDelta, maxTokens }: CompleteOptions,
): Promise<Completion> {
  signal.throwIfAborted();
  const text = quoteSummary(prompt, maxTokens) ?? `${mark} ${answer(prompt)}`;
  if (onDelta !== undefined) {
    for (const word of text.split(/(?<=\s)/)) {
      onDelta(word);
      await setImmediate();
      signal.throwIfAborted();
    }
  }
  return { text, model: 'offline', finishReason: 'stop' };
}

function answer(prompt: PromptMessage[]): string {
  const question = contents(prompt, 'message').join('\n');
  const remembered = prompt.flatMap(quotesOf);
  if (remembered.length === 0) {
    return `Nothing is remembered from before this message. Ask about it in your next one and I will quote it. ${howToGetAModel}`;
  }
  const best = mostRelevant(question, remembered, contents(prompt, 'instruction'));
  if (best === undefined) {
    return `Nothing that I remember of this chat has a telling word in common with your message. ${howToGetAModel}`;
  }
  return `${best.source}: "${shortened(best.text)}"`;
}

/** Of equals the latest. The question itself, asked before, is no answer to it. */
function mostRelevant(
  question: string,
  remembered: Quote[],
  background: string[],
): Quote | undefined {
  const asked = wordsOf(question).join(' ');
  const others = remembered.filter(({ text }) => wordsOf(text).join(' ') !== asked);
  const relevance = relevanceOf(
    question,
    others.map(({ text }) => text),
    background,
  );
  let best: { quote: Quote; score: number } | undefined;
  for (const [index, quote] of others.entries()) {
    const score = (relevance[index] ?? 0) * quote.weight;
    if (score > 0 && score >= (best?.score ?? 0)) best = { quote, score };
  }
  return best?.quote;
}

/** What may be quoted of one part of the prompt. Its own earlier replies never are: they quote already. */
function quotesOf({ part, role, content }: PromptMessage): Quote[] {
  switch (part) {
    case 'window':
      if (content.startsWith(mark)) return [];
      return role === 'user'
        ? quotes(passages(content), 'You wrote earlier', 1)
        : quotes(passages(content), 'You were told earlier', 0.7);
    case 'recalled':
      return memories(content);
    case 'summary':
      return quotes(summaryIn(content).flatMap(sentences), 'From the summary of this chat', 0.9);
    default:
      return [];
  }
}

/** Recalled memories stand quoted in the prompt, each with who said it and when. */
function memories(content: string): Quote[] {
  return [
    ...content.matchAll(/<memory by="(\w+)" date="([\d-]+)[^"]*">\n(.*?)\n<\/memory>/gs),
  ].flatMap(([, by = '', date = '', text = '']) => {
    if (text.startsWith(mark)) return [];
    if (by === 'summary') return quotes([text], `From a summary of ${date}`, 0.9);
    return by === 'user'
      ? quotes(passages(text), `You wrote on ${date}`, 0.9)
      : quotes(passages(text), `You were told on ${date}`, 0.7);
  });
}

/** The summary stands quoted in the prompt, below a line that says what it is. Its lines. */
function summaryIn(content: string): string[] {
  const [, summary = content] = /<summary[^>]*>\n(.*)\n<\/summary>/s.exec(content) ?? [];
  return summary.split('\n');
}

/** A question weighs less: it tells less than a statement with the same words. */
function quotes(texts: string[], source: string, weight: number): Quote[] {
  return texts
    .map((text) => text.replace(/^\s*[-*•]\s/, '').trim())
    .filter((text) => text !== '' && !text.includes(mark))
    .map((text) => ({ text, source, weight: /[?？؟]$/.test(text) ? weight / 4 : weight }));
}

/** A text whole, or by sentences where it is too long to quote. */
function passages(text: string): string[] {
  return text.length <= longestQuote ? [text] : sentences(text);
}

function sentences(text: string): string[] {
  return [...sentenceSegmenter.segment(text)].map(({ segment }) => segment);
}

function shortened(text: string): string {
  return text.length <= longestQuote ? text : `${text.slice(0, longestQuote)}…`;
}

function contents(prompt: PromptMessage[], part: PromptMessage['part']): string[] {
  return prompt.filter((message) => message.part === part).map(({ content }) => content);
}
