import type { ViewData } from '#src/panel/panel.ts';
import type { Changes } from './changes.ts';
import { differences, idOf } from './differences.ts';

/** The views everybody has: a collection's first look (no bookmark), and shared bookmarks. */
export async function applyViews(changes: Changes, views: ViewData[]): Promise<void> {
  const have = await changes.list('/presets?filter[user][_null]=true&filter[role][_null]=true');
  const wanted = views.map((view) => ({
    want: { search: null, filter: null, ...view },
    row: have.find(
      (row) => row.collection === view.collection && (row.bookmark ?? null) === view.bookmark,
    ),
  }));
  const missing = wanted.filter(({ row }) => row === undefined);
  await changes.makeAll(
    'POST',
    '/presets',
    missing.map(({ want }) => want),
  );
  for (const { row, want } of wanted) {
    const wrong = row === undefined ? {} : differences(row, want);
    if (row && Object.keys(wrong).length > 0) {
      await changes.make('PATCH', `/presets/${idOf(row)}`, wrong);
    }
  }
}
