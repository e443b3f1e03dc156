import type { z } from 'zod';
import {
  CollectionName,
  CreateCollection,
  CreateFieldIndex,
  PointIdsList,
  PointsList,
  QueryRequest,
  ScrollRequest,
} from './qdrant-schema.ts';
import type { Filter } from './qdrant-schema.ts';

export interface StoreRequest {
  method: string;
  /** With its query. */
  path: string;
  body: string;
}

export interface StoreAnswer {
  status: number;
  body: string;
}

interface Collection {
  size: number;
  indexed: Set<string>;
  points: Map<number, { vector: number[]; payload: Record<string, unknown> }>;
}

/** Qdrant, as far as its REST API is used here: strict in what it takes, in memory. */
export function createFakeQdrant(): (request: StoreRequest) => StoreAnswer {
  const collections = new Map<string, Collection>();

  function answer({ method, path, body }: StoreRequest): StoreAnswer {
    const url = new URL(path, 'http://qdrant');
    const [root = '', encoded = '', ...rest] = url.pathname.slice(1).split('/');
    const call = `${method} ${rest.join('/')}${url.search}`;
    if (root !== 'collections') return refused(404, 'no such path');
    if (encoded === '') {
      const names = [...collections.keys()].map((name) => ({ name }));
      return method === 'GET' ? done({ collections: names }) : refused(405, 'no such method');
    }
    const name = CollectionName.parse(decodeURIComponent(encoded));
    const collection = collections.get(name);
    if (call === 'GET exists') return done({ exists: collection !== undefined });
    if (call === 'PUT ') {
      if (collection) return refused(409, `Wrong input: Collection \`${name}\` already exists!`);
      const { size } = CreateCollection.parse(JSON.parse(body)).vectors;
      collections.set(name, { size, indexed: new Set(), points: new Map() });
      return done(true);
    }
    if (call === 'DELETE ') return done(collections.delete(name));
    if (!collection) return refused(404, `Not found: Collection \`${name}\` doesn't exist!`);
    return answerFor(collection, call, JSON.parse(body));
  }

  return (request) => {
    try {
      return answer(request);
    } catch (error) {
      return refused(400, `Format error in JSON body: ${String(error)}`);
    }
  };
}

function answerFor(collection: Collection, call: string, body: unknown): StoreAnswer {
  const { points } = collection;
  const updated = { operation_id: 0, status: 'completed' };
  switch (call) {
    case 'PUT index?wait=true':
      collection.indexed.add(CreateFieldIndex.parse(body).field_name);
      return done(updated);
    case 'PUT points?wait=true':
      return upsert(collection, PointsList.parse(body)) ?? done(updated);
    case 'POST points/delete?wait=true':
      for (const id of PointIdsList.parse(body).points) points.delete(id);
      return done(updated);
    case 'POST points/query':
      return query(collection, QueryRequest.parse(body));
    case 'POST points/scroll': {
      const { offset, limit, with_payload: fields } = ScrollRequest.parse(body);
      const from = [...points].filter(([id]) => id >= offset).sort(([a], [b]) => a - b);
      return done({
        points: from
          .slice(0, limit)
          .map(([id, { payload }]) => ({ id, payload: pick(payload, fields) })),
        next_page_offset: from[limit]?.[0] ?? null,
      });
    }
    default:
      return refused(404, `no ${call}`);
  }
}

function upsert(
  { size, points }: Collection,
  list: z.infer<typeof PointsList>,
): StoreAnswer | undefined {
  const wrong = list.points.find(({ vector }) => vector.length !== size);
  if (wrong !== undefined) {
    const got = wrong.vector.length;
    return refused(400, `Wrong input: Vector dimension error: expected dim: ${size}, got ${got}`);
  }
  for (const { id, vector, payload } of list.points) points.set(id, { vector, payload });
  return undefined;
}

function query(
  { size, indexed, points }: Collection,
  { query: vector, filter, limit, score_threshold: least, with_payload: fields }: QueryBody,
): StoreAnswer {
  const conditions = [...(filter.must ?? []), ...(filter.should ?? [])];
  const slow = conditions.find(({ key }) => !indexed.has(key));
  if (conditions.length === 0) return refused(400, 'a query without a filter asks for all chats');
  if (slow !== undefined) return refused(400, `Index required but not found for "${slow.key}"`);
  if (vector.length !== size) return refused(400, 'Wrong input: Vector dimension error');
  const found = [...points]
    .filter(([, { payload }]) => passes(filter, payload))
    .map(([id, point]) => ({
      id,
      version: 0,
      score: cosine(vector, point.vector),
      payload: pick(point.payload, fields),
    }))
    .filter(({ score }) => score >= least)
    .sort((a, b) => b.score - a.score);
  return done({ points: found.slice(0, limit) });
}

type QueryBody = z.infer<typeof QueryRequest>;

function passes({ must = [], should = [] }: Filter, payload: Record<string, unknown>): boolean {
  const holds = ({ key, match }: (typeof must)[number]) => payload[key] === match.value;
  return must.every(holds) && (should.length === 0 || should.some(holds));
}

function pick(payload: Record<string, unknown>, fields: string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(payload).filter(([key]) => fields.includes(key)));
}

function cosine(a: number[], b: number[]): number {
  const dot = (x: number[], y: number[]) =>
    x.reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0);
  return dot(a, b) / (Math.sqrt(dot(a, a) * dot(b, b)) || 1);
}

function done(result: unknown): StoreAnswer {
  return { status: 200, body: JSON.stringify({ result, status: 'ok', time: 0.001 }) };
}

function refused(status: number, error: string): StoreAnswer {
  return { status, body: JSON.stringify({ result: null, status: { error }, time: 0.001 }) };
}
