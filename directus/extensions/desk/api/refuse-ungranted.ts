import type { HookRegistry } from './directus.ts';
import { grants } from './grants.ts';
import { refusal } from './refusal.ts';

/** Says clearly what PostgreSQL would refuse anyway, and Directus would report as an unexpected error. */
export function refuseUngranted({ filter }: HookRegistry): void {
  filter('items.create', (payload, { collection }) => {
    check(collection, 'created', columnsOf(payload), grants[collection]?.create);
  });
  filter('items.update', (payload, { collection }) => {
    check(collection, 'changed', columnsOf(payload), grants[collection]?.update);
  });
  filter('items.delete', (_, { collection }) => {
    check(collection, 'deleted', [], grants[collection]?.delete && []);
  });
}

function check(
  collection: string,
  done: string,
  columns: string[],
  granted: string[] | undefined,
): void {
  if (!(collection in grants)) return;
  if (granted === undefined) throw refusal(`Rows of ${collection} are not ${done} here.`);
  const refused = columns.filter((column) => !granted.includes(column));
  if (refused.length > 0)
    throw refusal(`${collection}.${refused.join(', ')} cannot be ${done} here.`);
}

function columnsOf(payload: unknown): string[] {
  return Object.keys(Object(payload));
}
