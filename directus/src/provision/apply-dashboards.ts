import type { DashboardData } from '#src/panel/panel.ts';
import type { Changes } from './changes.ts';
import { isOurs, stableId } from './stable-id.ts';

/** Our dashboards. What operators added to them stays; a panel of ours that is described no more goes. */
export async function applyDashboards(
  changes: Changes,
  dashboards: DashboardData[],
): Promise<void> {
  const wanted = dashboards.map(({ key, panels, ...look }) => ({
    look: { id: stableId(`dashboard ${key}`), ...look },
    panels: panels.map((panel) => ({
      id: stableId(`panel ${key} ${panel.name}`),
      dashboard: stableId(`dashboard ${key}`),
      ...panel,
    })),
  }));
  await changes.upsertAll(
    '/dashboards',
    await changes.list('/dashboards'),
    wanted.map(({ look }) => look),
  );
  const have = await changes.list('/panels');
  const panels = wanted.flatMap((one) => one.panels);
  await changes.upsertAll('/panels', have, panels);
  const known = new Set(panels.map(({ id }) => id));
  for (const { id } of have) {
    if (isOurs(id) && !known.has(id)) await changes.make('DELETE', `/panels/${id}`);
  }
}
