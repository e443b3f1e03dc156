import type { PromptMessage } from './model.ts';

const heading = '[offline] In the words of the user:';
const longestQuote = 200;
const charactersPerToken = 3;

/** Where the prompt asks for a summary: what the user stated, word for word, the oldest dropped where it gets too long. */
export function quoteSummary(prompt: PromptMessage[], maxTokens = Infinity): string | undefined {
  const source = prompt.find(({ part }) => part === 'to-summarize');
  if (source === undefined) return undefined;
  const earlier = prompt
    .filter(({ part }) => part === 'summary')
    .flatMap(({ content }) => quoted(content, /<summary [^>]*>\n([^]*?)\n<\/summary>/g))
    .flatMap((content) => content.split('\n'))
    .filter((line) => line.trim() !== '' && line !== heading);
  const said = quoted(source.content, /<message role="user"[^>]*>\n([^]*?)\n<\/message>/g).map(
    (text) => text.replaceAll(/\s+/g, ' ').trim(),
  );
  const stated = said.filter((text) => !/[?？؟]$/.test(text));
  const lines = [...new Set([...earlier, ...(stated.length > 0 ? stated : said).map(asLine)])];
  let length = heading.length + lines.reduce((sum, line) => sum + line.length + 1, 0);
  while (lines.length > 1 && length > maxTokens * charactersPerToken) {
    length -= (lines.shift()?.length ?? 0) + 1;
  }
  return [heading, ...lines].join('\n');
}

function quoted(content: string, pattern: RegExp): string[] {
  return [...content.matchAll(pattern)].map((match) => match[1] ?? '');
}

function asLine(text: string): string {
  return `- ${text.length <= longestQuote ? text : `${text.slice(0, longestQuote)}…`}`;
}
