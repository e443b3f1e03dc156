import type { Panel } from '#src/panel/panel.ts';
import type { Changes } from './changes.ts';
import { differences } from './differences.ts';
import { stableId } from './stable-id.ts';

/** The project's settings, and our texts in both languages (`$t:key` names one). */
export async function applySettings(changes: Changes, panel: Panel): Promise<void> {
  const settings = Object(await changes.list('/settings'));
  const wrong = differences(settings, panel.settings);
  if (Object.keys(wrong).length > 0) await changes.make('PATCH', '/settings', wrong);

  const wanted = Object.entries(panel.texts).flatMap(([key, texts]) =>
    Object.entries(texts).map(([language, value]) => {
      const id = stableId(`text ${key} ${language}`);
      return { id, key, language, value };
    }),
  );
  await changes.upsertAll('/translations', await changes.list('/translations'), wanted);
}
