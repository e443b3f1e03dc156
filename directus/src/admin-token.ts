import { createHmac } from 'node:crypto';
import { Client } from 'pg';
import { PanelError } from './config.ts';

const LIFE_SECONDS = 300;

/**
 * A short-lived access token of an administrator, signed with the panel's own secret: provisioning
 * needs no password and leaves no token behind. `isFirst`: nobody has signed in yet.
 */
export async function adminToken(
  databaseUrl: string,
  secret: string,
): Promise<{ token: string; isFirst: boolean }> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query(`
      select u.id, u.role, not exists (select from directus.directus_users where last_access is not null) as first
        from directus.directus_users u
          join directus.directus_access a on a.role = u.role
          join directus.directus_policies p on p.id = a.policy and p.admin_access
        where u.status = 'active' order by u.id limit 1`);
    const [admin] = rows;
    if (admin === undefined) {
      throw new PanelError(
        'The panel has no active administrator left; make one in directus_users.',
      );
    }
    const now = Math.floor(Date.now() / 1_000);
    const token = sign(
      {
        id: admin.id,
        role: admin.role,
        app_access: true,
        admin_access: true,
        iss: 'directus',
        iat: now,
        exp: now + LIFE_SECONDS,
      },
      secret,
    );
    return { token, isFirst: admin.first };
  } finally {
    await client.end();
  }
}

/** JWT, HS256. */
function sign(payload: object, secret: string): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const head = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(payload)}`;
  return `${head}.${createHmac('sha256', secret).update(head).digest('base64url')}`;
}
