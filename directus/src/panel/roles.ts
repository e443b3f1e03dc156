import { stableId } from '#src/provision/stable-id.ts';
import type { RoleData } from './panel.ts';

type Action = RoleData['permissions'][number]['action'];
const may = (action: Action, ...collections: string[]) =>
  collections.map((collection) => ({ collection, action }));

// Without a licence key Directus takes no rules by field or row, so each of these is a whole
// collection. Which columns may change at all stands in PostgreSQL (the desk's `grants.ts`).
const reading = [
  ...may('read', 'chat_sessions', 'messages', 'conversation_summaries'),
  ...may('read', 'embeddings', 'unentered_messages', 'turns', 'users'),
  ...may('read', 'directus_dashboards', 'directus_panels', 'directus_users', 'directus_roles'),
  ...may('read', 'directus_activity', 'directus_revisions'),
];

export const roles: RoleData[] = [
  {
    name: 'Operator',
    icon: 'support_agent',
    description: 'Reads, corrects and steers what the bot remembers',
    permissions: [
      ...reading,
      ...may('update', 'chat_sessions', 'conversation_summaries', 'embeddings', 'users'),
      ...may('create', 'users'),
      ...may('delete', 'messages'),
    ],
  },
  {
    name: 'Viewer',
    icon: 'visibility',
    description: 'Reads everything, changes nothing',
    permissions: reading,
  },
];

/** Whose users the desk's endpoint lets act, beside administrators. */
export const operatorRole = stableId('role Operator');
