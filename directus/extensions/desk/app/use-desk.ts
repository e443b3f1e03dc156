import { useApi, useStores } from '@directus/extensions-sdk';
import { useTexts } from './texts.ts';
import type { TextKey } from './texts.ts';

/** What every view of the desk works with: rows, the backend's deeds, and how to tell what became of them. */
export function useDesk() {
  const api = useApi();
  const texts = useTexts();
  const stores = useStores();
  const notifications = stores.useNotificationsStore();
  const permissions = stores.usePermissionsStore();

  function tellFailure(error: unknown): void {
    const { code, detail } = problemOf(error);
    const title = texts.isText(code) ? texts.say(code) : texts.say('failed', { why: detail });
    notifications.add({ title, type: 'error' });
  }
  return {
    ...texts,
    /** Whoever may correct summaries may do the rest: Directus knows roles by what they may change. */
    mayAct: permissions.hasPermission('conversation_summaries', 'update'),
    list: async <Row>(collection: string, params: object): Promise<Row[]> =>
      (await api.get(`/items/${collection}`, { params })).data.data,
    people: async (): Promise<Person[]> => {
      const params = { fields: 'id,first_name,last_name', limit: -1 };
      return (await api.get('/users', { params })).data.data;
    },
    one: async <Row>(collection: string, id: string): Promise<Row> =>
      (await api.get(`/items/${collection}/${encodeURIComponent(id)}`)).data.data,
    change: async (method: 'PATCH' | 'DELETE', path: string, data?: object): Promise<void> => {
      await api.request({ method, url: `/items/${path}`, data });
    },
    /** Asks the backend, through the desk's own endpoint. */
    ask: async <Answer>(method: 'GET' | 'POST', path: string, data: object = {}): Promise<Answer> =>
      (await api.request({ method, url: `/desk/backend${path}`, data })).data,
    tell: (key: TextKey, values?: Record<string, string | number>) =>
      notifications.add({ title: texts.say(key, values), type: 'success' }),
    tellFailure,
    /** Does it; says what went wrong. Resolves with whether it was done. */
    attempt: async (work: () => Promise<void>): Promise<boolean> => {
      try {
        await work();
        return true;
      } catch (error) {
        tellFailure(error);
        return false;
      }
    },
  };
}

export type Desk = ReturnType<typeof useDesk>;

interface Person {
  id: string;
  first_name: string | null;
  last_name: string | null;
}

interface Failure {
  response?: {
    data?: {
      code?: string;
      detail?: string;
      title?: string;
      errors?: { message: string; extensions?: { code: string } }[];
    };
  };
}

/** The backend answers with a problem, Directus with a list of errors. */
function problemOf(error: unknown): { code: string; detail: string } {
  const failure: Failure = Object(error);
  const data = failure.response?.data;
  const first = data?.errors?.[0];
  const directusCode = first?.extensions?.code === 'FORBIDDEN' ? 'operator_not_allowed' : undefined;
  return {
    code: data?.code ?? directusCode ?? '',
    detail: data?.detail ?? data?.title ?? first?.message ?? String(error),
  };
}
