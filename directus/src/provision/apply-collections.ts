import type { CollectionData, Panel } from '#src/panel/panel.ts';
import type { Changes } from './changes.ts';
import { differences } from './differences.ts';
import type { Row } from './differences.ts';

/** Registers the backend's tables and columns: only what Directus keeps about them, never the tables. */
export async function applyCollections(changes: Changes, panel: Panel): Promise<void> {
  const have = await changes.list('/collections');
  for (const collection of panel.collections) {
    const { name, meta } = collection;
    const known = have.find((row) => row.collection === name);
    if (!known?.schema) {
      throw new Error(`There is no table ${name} yet: start the API first, which makes it.`);
    }
    await patchMeta(changes, `/collections/${name}`, known, meta);
    await applyFields(changes, collection);
  }
  await applyRelations(changes, panel);
}

async function applyFields(changes: Changes, { name, fields }: CollectionData): Promise<void> {
  const have = new Map((await changes.list(`/fields/${name}`)).map((row) => [row.field, row]));
  const wanted: Field[] = Object.entries(fields).map(([field, meta], index) => ({
    field,
    meta: { ...defaults, ...meta, sort: index + 1 },
  }));
  const missing = wanted.filter(({ field }) => !have.has(field));
  // Fields name the group they stand in, so those come first.
  for (const { field, meta } of missing) {
    if (!isAlias(meta)) {
      throw new Error(
        `There is no column ${name}.${field} yet: start the API first, which adds it.`,
      );
    }
    await changes.make('POST', `/fields/${name}`, { field, type: 'alias', meta });
  }
  const drifted = wanted.flatMap(({ field, meta }) => {
    const row = have.get(field);
    const wrong = row === undefined ? {} : wrongMeta(row, meta);
    return Object.keys(wrong).length === 0 ? [] : [{ field, meta: wrong }];
  });
  const unknown = [...have.values()].filter((row) => row.meta === null && !isNamed(row, fields));
  const added = unknown.map(({ field }) => ({ field, meta: unknownColumn }));
  await changes.makeAll('PATCH', `/fields/${name}`, [...drifted, ...added]);
}

type Field = { field: string; meta: Row };

function isNamed({ field }: Row, fields: Record<string, Row>): boolean {
  return typeof field === 'string' && field in fields;
}

/** Spelled out, so that a drift back to them is seen. */
const defaults: Row = {
  special: null,
  options: null,
  display: null,
  display_options: null,
  readonly: false,
  hidden: false,
  required: false,
  width: 'half',
  group: null,
  note: null,
  conditions: null,
  validation: null,
};

/** A column that a newer migration has added: shown among the technical ones. */
const unknownColumn: Row = {
  ...defaults,
  interface: 'input',
  readonly: true,
  group: 'technical',
  sort: 999,
};

function isAlias({ special }: Row): boolean {
  return Array.isArray(special) && (special.includes('alias') || special.includes('o2m'));
}

async function applyRelations(changes: Changes, panel: Panel): Promise<void> {
  const { relations } = panel;
  const have = await changes.list('/relations');
  for (const { collection, field, meta } of relations) {
    const known = have.find((row) => row.collection === collection && row.field === field);
    if (!known?.schema) throw new Error(`There is no foreign key on ${collection}.${field}.`);
    await patchMeta(changes, `/relations/${collection}/${field}`, known, meta);
  }
  // A migration may have taken their foreign keys.
  const left = have.filter(
    (row) => row.schema === null && isOf(row, panel) && !isIn(row, relations),
  );
  for (const { collection, field } of left) {
    await changes.make('DELETE', `/relations/${String(collection)}/${String(field)}`);
  }
}

function isOf({ collection }: Row, { collections }: Panel): boolean {
  return collections.some(({ name }) => name === collection);
}

function isIn({ collection, field }: Row, relations: Panel['relations']): boolean {
  return relations.some((one) => one.collection === collection && one.field === field);
}

async function patchMeta(changes: Changes, path: string, known: Row, want: Row): Promise<void> {
  const meta = wrongMeta(known, want);
  if (Object.keys(meta).length > 0) await changes.make('PATCH', path, { meta });
}

/** All of it, where Directus keeps nothing yet. */
function wrongMeta({ meta }: Row, want: Row): Row {
  return meta ? differences(Object(meta), want) : want;
}
