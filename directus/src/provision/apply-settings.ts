import type { Panel } from '#src/panel/panel.ts';
import type { Changes } from './changes.ts';
import { differences } from './differences.ts';
import { stableId } from './stable-id.ts';

/** The project's settings, and our texts in both languages (`$t:key` names one). */
export async function applySettings(changes: Changes, panel: Panel): Promise<void> {
  const logo = { id: stableId('logo'), name: 'logo.svg', type: 'image/svg+xml', text: panel.logo };
  const files = await changes.list(`/files?filter[id][_eq]=${logo.id}`);
  if (files.length === 0) await changes.addFile(logo);
  const settings = Object(await changes.list('/settings'));
  const look = { project_logo: logo.id, public_favicon: logo.id };
  const wrong = differences(settings, { ...panel.settings, ...look });
  if (Object.keys(wrong).length > 0) await changes.make('PATCH', '/settings', wrong);

  const wanted = Object.entries(panel.texts).flatMap(([key, texts]) =>
    Object.entries(texts).map(([language, value]) => {
      const id = stableId(`text ${key} ${language}`);
      return { id, key, language, value };
    }),
  );
  await changes.upsertAll('/translations', await changes.list('/translations'), wanted);
}
