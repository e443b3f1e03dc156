import type { FakeModelRequestBody } from '#test/fake-model-response.ts';

/** What the model was sent for a reply. */
export interface ChatPrompt {
  kind: 'chat';
  /** The summary's text; empty where there is none. */
  summary: string;
  /** 0 where there is none. */
  version: number;
  /** The messages after the instruction and before the question. */
  window: string[];
  recalled: { by: string; text: string }[];
  asked: string;
}

/** What it was sent for a summary. */
export interface SummaryPrompt {
  kind: 'summary';
  previous: string;
  messages: string[];
}

const quotedSummary = /<summary (?:version="(\d+)"|[^>]*)>\n([\s\S]*?)\n<\/summary>/;
const quotedMemory = /<memory by="(\w+)"[^>]*>\n([\s\S]*?)\n<\/memory>/g;
const quotedMessage = /<message [^>]*>\n([\s\S]*?)\n<\/message>/g;

/** Takes a request apart. Only summaries have a limit on their length here. */
export function readPrompt({
  messages,
  ...rest
}: FakeModelRequestBody): ChatPrompt | SummaryPrompt {
  const leading = messages[0]?.role === 'system' ? messages[0].content : '';
  const [, version = '0', summary = ''] = quotedSummary.exec(leading) ?? [];
  const last = messages.at(-1)?.content ?? '';
  if (rest['max_tokens'] !== undefined) {
    const quoted = [...last.matchAll(quotedMessage)].map((match) => match[1] ?? '');
    return { kind: 'summary', previous: summary, messages: quoted };
  }
  const recalled = [...last.matchAll(quotedMemory)].map(([, by = '', text = '']) => ({ by, text }));
  return {
    kind: 'chat',
    summary,
    version: Number(version),
    window: messages.slice(1, -1).map(({ content }) => content),
    recalled,
    asked: last.replaceAll(quotedMemory, ''),
  };
}
