import { en } from './en.ts';
import type { Texts } from './en.ts';
import { ru } from './ru.ts';

/** By IETF language tag, without the region. */
export const dictionaries = { en, ru };

/** In the user's language, as their Telegram tells it; English where we do not speak it. */
export function textsFor(languageCode: string | undefined): Texts {
  return /^ru\b/i.test(languageCode ?? '') ? dictionaries.ru : dictionaries.en;
}

export type { Texts };
