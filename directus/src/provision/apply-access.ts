import type { RoleData } from '#src/panel/panel.ts';
import type { Changes } from './changes.ts';
import { differences, idOf } from './differences.ts';
import type { Row } from './differences.ts';
import { stableId } from './stable-id.ts';

/** Roles, each with a policy of ours: in that nothing may stand but what is described. */
export async function applyAccess(changes: Changes, roles: RoleData[]): Promise<void> {
  const wanted = roles.map(({ permissions, ...look }) => {
    const role = { id: stableId(`role ${look.name}`), ...look };
    const rights = { app_access: true, admin_access: false };
    const policy = { id: stableId(`policy ${look.name}`), ...look, ...rights };
    const access = { id: stableId(`access ${look.name}`), role: role.id, policy: policy.id };
    return { role, policy, access, permissions };
  });
  const upsert = async (path: string, rows: (Row & { id: string })[]) =>
    changes.upsertAll(path, await changes.list(path), rows);
  await upsert(
    '/roles',
    wanted.map(({ role }) => role),
  );
  await upsert(
    '/policies',
    wanted.map(({ policy }) => policy),
  );
  await upsert(
    '/access',
    wanted.map(({ access }) => access),
  );
  const have = await changes.list('/permissions');
  for (const { policy, permissions } of wanted) {
    const own = have.filter((row) => row.policy === policy.id);
    const described = permissions.map((one) => ({ ...everyRow, ...one, policy: policy.id }));
    await applyPermissions(changes, own, described);
  }
}

const everyRow = { fields: ['*'], permissions: {}, validation: null, presets: null };

async function applyPermissions(changes: Changes, have: Row[], wanted: Row[]): Promise<void> {
  const sameAs = (a: Row) => (b: Row) => a.collection === b.collection && a.action === b.action;
  await changes.makeAll(
    'POST',
    '/permissions',
    wanted.filter((want) => !have.some(sameAs(want))),
  );
  // Those without an id are what Directus grants every user of its app.
  for (const row of have.filter(({ id }) => typeof id === 'number')) {
    const want = wanted.find(sameAs(row));
    if (want === undefined) await changes.make('DELETE', `/permissions/${idOf(row)}`);
    else if (Object.keys(differences(row, want)).length > 0) {
      await changes.make('PATCH', `/permissions/${idOf(row)}`, want);
    }
  }
}
