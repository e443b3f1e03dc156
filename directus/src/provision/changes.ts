import { differences } from './differences.ts';
import type { Row } from './differences.ts';
import type { DirectusApi } from './directus-api.ts';

/** Where steps read what is there and say what has to change. */
export interface Changes {
  list(path: string): Promise<Row[]>;
  /** Makes one change, or only tells of it in a dry run. */
  make(method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: Row): Promise<void>;
  /** Stores a file under an id of ours. */
  addFile(file: { id: string; name: string; type: string; text: string }): Promise<void>;
  /** Makes several of a kind in one request: Directus reads the whole schema again after each. */
  makeAll(method: 'POST' | 'PATCH', path: string, bodies: Row[]): Promise<void>;
  /** Makes the rows with these ids say what is wanted; no request where they do already. */
  upsertAll(path: string, have: Row[], wanted: (Row & { id: string })[]): Promise<void>;
  count(): number;
}

export function createChanges(
  api: DirectusApi,
  { dryRun, report }: { dryRun: boolean; report: (line: string) => void },
): Changes {
  let count = 0;
  const tell = (method: string, path: string, body?: Row) => {
    count += 1;
    report(body === undefined ? `${method} ${path}` : `${method} ${path} ${JSON.stringify(body)}`);
  };
  const make: Changes['make'] = async (method, path, body) => {
    tell(method, path, body);
    if (!dryRun) await api.send(method, path, body);
  };
  const makeAll: Changes['makeAll'] = async (method, path, bodies) => {
    for (const body of bodies) tell(method, path, body);
    if (bodies.length > 0 && !dryRun) await api.send(method, path, bodies);
  };
  return {
    list: (path) => api.get(`${path}${path.includes('?') ? '&' : '?'}limit=-1`),
    make,
    makeAll,
    async addFile({ id, name, type, text }) {
      tell('POST', `/files ${name}`);
      const form = new FormData();
      for (const [key, value] of Object.entries({ id, title: name, type })) form.append(key, value);
      form.append('file', new Blob([text], { type }), name);
      if (!dryRun) await api.upload(form);
    },
    async upsertAll(path, have, wanted) {
      const rows = new Map(have.map((row) => [row.id, row]));
      await makeAll(
        'POST',
        path,
        wanted.filter(({ id }) => !rows.has(id)),
      );
      for (const want of wanted) {
        const row = rows.get(want.id);
        const wrong = row === undefined ? {} : differences(row, want);
        if (Object.keys(wrong).length > 0) await make('PATCH', `${path}/${want.id}`, wrong);
      }
    },
    count: () => count,
  };
}
