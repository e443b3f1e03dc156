import { readFileSync } from 'node:fs';
import type { Config } from '#src/config.ts';
import type { Row } from '#src/provision/differences.ts';
import { conversationSummaries } from './collections/conversation-summaries.ts';
import { embeddings } from './collections/embeddings.ts';
import { messages } from './collections/messages.ts';
import { chatSessions } from './collections/chat-sessions.ts';
import { turns } from './collections/turns.ts';
import { unenteredMessages } from './collections/unentered-messages.ts';
import { users } from './collections/users.ts';
import { dashboards } from './dashboards.ts';
import { relations } from './relations.ts';
import { roles } from './roles.ts';
import { settings } from './settings.ts';
import { texts } from './texts.ts';
import type { Text } from './texts.ts';
import { views } from './views.ts';

/** All that provisioning sets up, in the terms of Directus' own REST API. */
export interface Panel {
  settings: Row;
  /** SVG. */
  logo: string;
  texts: Record<string, Text>;
  collections: CollectionData[];
  relations: { collection: string; field: string; meta: Row }[];
  roles: RoleData[];
  views: ViewData[];
  dashboards: DashboardData[];
}

export interface CollectionData {
  name: string;
  meta: Row;
  /** In the order of the form. */
  fields: Record<string, Row>;
}

export interface RoleData {
  name: string;
  icon: string;
  description: string;
  permissions: { collection: string; action: 'create' | 'read' | 'update' | 'delete' }[];
}

export interface ViewData extends Row {
  collection: string;
  /** null: how the collection looks at first. */
  bookmark: string | null;
}

export interface DashboardData {
  key: string;
  name: string;
  icon: string;
  note: string;
  color: string;
  panels: (Row & { name: string })[];
}

export function describePanel(config: Pick<Config, 'usage' | 'summaryThreshold'>): Panel {
  return {
    settings: settings(config),
    logo: readFileSync(new URL('logo.svg', import.meta.url), 'utf8'),
    texts,
    collections: [
      chatSessions(config.summaryThreshold),
      users,
      messages,
      conversationSummaries,
      embeddings,
      turns,
      unenteredMessages,
    ],
    relations,
    roles,
    views: views(config.summaryThreshold),
    dashboards: dashboards(config.summaryThreshold),
  };
}
