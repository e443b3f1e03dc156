import type { Panel } from '#src/panel/panel.ts';
import { applyAccess } from './apply-access.ts';
import { applyCollections } from './apply-collections.ts';
import { applyDashboards } from './apply-dashboards.ts';
import { applySettings } from './apply-settings.ts';
import { applyViews } from './apply-views.ts';
import { createChanges } from './changes.ts';
import type { DirectusApi } from './directus-api.ts';

/**
 * Makes Directus what `panel` describes, and leaves alone what operators added. Resolves with the
 * number of changes: none, where nothing has drifted. With `dryRun` they are only reported.
 */
export async function provision(
  api: DirectusApi,
  panel: Panel,
  { dryRun = false, report = () => {} }: { dryRun?: boolean; report?: (line: string) => void } = {},
): Promise<number> {
  // It would not see columns that a migration has added since it started.
  await api.send('POST', '/utils/cache/clear?system');
  const changes = createChanges(api, { dryRun, report });
  await applySettings(changes, panel);
  await applyCollections(changes, panel);
  await applyAccess(changes, panel.roles);
  await applyViews(changes, panel.views);
  await applyDashboards(changes, panel.dashboards);
  return changes.count();
}
