import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { createJobMetrics, createRegistry, createTurnMetrics } from '#src/metrics.ts';

const docs = path.join(import.meta.dirname, '../../docs');
const dashboard = readFileSync(path.join(docs, 'grafana-dashboard.json'), 'utf8');
const operations = readFileSync(path.join(docs, 'operations.md'), 'utf8');

let names: string[];
let ours: string[];

beforeAll(() => {
  const registry = createRegistry();
  createTurnMetrics(registry);
  createJobMetrics(registry);
  names = registry.getMetricsAsArray().map(({ name }) => name);
  ours = names.filter((name) => name.startsWith('llmbot_'));
});

/** Metrics as a query names them: a histogram's series have endings of their own. */
function namedIn(text: string): string[] {
  const found = text.match(/\b(llmbot|process|nodejs)_[a-z0-9_]*[a-z0-9]\b/g) ?? [];
  return [...new Set(found)].map((name) => name.replace(/_(bucket|sum|count)$/, ''));
}

test('the dashboard asks for metrics that exist, and for each of ours', () => {
  expect(namedIn(dashboard).filter((name) => !names.includes(name))).toEqual([]);
  expect(ours.filter((name) => !namedIn(dashboard).includes(name))).toEqual([]);
});

test('each panel has a title, a place of its own and a query', () => {
  const { panels } = JSON.parse(dashboard);
  const places = new Set<string>();
  for (const { title, gridPos, targets } of panels) {
    expect(title).toMatch(/\S/);
    places.add(`${gridPos.x} ${gridPos.y}`);
    for (const { expr } of targets) expect(expr).toMatch(/\S/);
  }
  expect(places.size).toBe(panels.length);
});

test('the alerts of docs/operations.md are about metrics that exist', () => {
  expect(namedIn(operations).filter((name) => !names.includes(name))).toEqual([]);
});

test('names tell their unit, as Prometheus wants it', () => {
  const units = /_(total|seconds|messages|turns|rows|connections|statements|waiting|failed)$/;
  expect(ours.filter((name) => !units.test(name))).toEqual([]);
});
