import { once } from 'node:events';
import { csvLine } from './csv.ts';
import { grants } from './grants.ts';
import type { Context, ItemsService, Request, Response } from './directus.ts';

const PAGE = 1_000;

/** Not for reading: a turn's whole context log, and bytes. */
const leftOut = new Set(['context', 'request_hash']);

/**
 * All rows that a filter and a search leave, as CSV or JSON, as they are at one moment. They are
 * read with the rights of whoever asks, page by page, and never held together.
 */
export async function exportRows(context: Context, req: Request, res: Response): Promise<void> {
  const { collection = '' } = req.params;
  const who = req.accountability;
  if (!who?.user || !(collection in grants)) {
    res.status(403).json({ code: 'operator_not_allowed' });
    return;
  }
  const query: { filter?: unknown; search?: unknown } = JSON.parse(req.query.query ?? '{}');
  const format = req.query.format === 'json' ? jsonFormat : csvFormat;
  const work = async (trx: unknown) => {
    const options = { accountability: who, schema: req.schema, knex: trx };
    const items = new context.services.ItemsService(collection, options);
    await writeRows(res, format, pages(items, query));
  };
  await context.database.transaction(work, { isolationLevel: 'repeatable read', readOnly: true });
}

type Row = Record<string, unknown>;

async function* pages(
  items: ItemsService,
  { filter, search }: { filter?: unknown; search?: unknown },
) {
  for (let page = 1; ; page += 1) {
    const query = { filter: filter ?? {}, search, fields: ['*'], sort: ['id'], limit: PAGE, page };
    const rows = await items.readByQuery(query);
    yield rows.map(plain);
    if (rows.length < PAGE) return;
  }
}

/** The row's own columns: lists of other rows come as arrays of their ids. */
function plain(row: Row): Row {
  return Object.fromEntries(
    Object.entries(row).filter(([name, value]) => !leftOut.has(name) && !Array.isArray(value)),
  );
}

interface Format {
  type: string;
  begin: string;
  end: string;
  write(rows: Row[], isFirst: boolean): string;
}

const jsonFormat: Format = {
  type: 'application/json',
  begin: '[',
  end: '\n]\n',
  write: (rows, isFirst) =>
    rows
      .map((row, index) => `${isFirst && index === 0 ? '' : ','}\n${JSON.stringify(row)}`)
      .join(''),
};

const csvFormat: Format = {
  type: 'text/csv; charset=utf-8',
  // So that Excel reads it as UTF-8.
  begin: '\uFEFF',
  end: '',
  write: (rows, isFirst) => {
    const lines = rows.map((row) => csvLine(Object.values(row)));
    return (isFirst && rows[0] ? csvLine(Object.keys(rows[0])) : '') + lines.join('');
  },
};

async function writeRows(res: Response, format: Format, all: AsyncIterable<Row[]>): Promise<void> {
  let isFirst = true;
  for await (const rows of all) {
    if (isFirst) {
      res.setHeader('content-type', format.type);
      res.write(format.begin);
    }
    if (!res.write(format.write(rows, isFirst)))
      await Promise.race([once(res, 'drain'), once(res, 'close')]);
    if (res.destroyed) return;
    isFirst = false;
  }
  res.end(format.end);
}
