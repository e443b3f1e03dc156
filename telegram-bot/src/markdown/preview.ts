import remend from 'remend';
import type { Formatted } from '#src/telegram/formatted.ts';
import { renderMarkdown } from './render.ts';
import { MESSAGE_LIMIT, splitFormatted } from './split.ts';

/** Stands at the end of an answer that is still being written. */
const CURSOR = ' ▍';

/** The first message's worth of a half-written answer, with what is open closed. */
export function renderPreview(markdown: string): Formatted {
  const whole = renderMarkdown(remend(markdown, { linkMode: 'text-only' }));
  const first = splitFormatted(whole, MESSAGE_LIMIT - CURSOR.length)[0] ?? whole;
  return { ...first, text: first.text + CURSOR };
}
