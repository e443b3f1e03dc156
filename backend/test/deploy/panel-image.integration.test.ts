import { afterAll, beforeAll, expect, test } from 'vitest';
import { listFiles } from './run-image.ts';
import { setStack } from './stack.ts';
import type { Stack } from './stack.ts';

let stack: Stack;

beforeAll(async () => {
  stack = await setStack(['backend/Dockerfile', 'directus/Dockerfile']);
}, 300_000);

afterAll(() => stack?.close());

/** All but the volume's. */
async function listRest(): Promise<[string, number][]> {
  const lists = await Promise.all(stack.images.map((image) => listFiles(image)));
  return lists.flatMap((files) => [...files]).filter(([file]) => !file.startsWith('app/data/'));
}

test('the panel lets its administrator in, and writes into its volume alone', async () => {
  await stack.start('backend', 'API ready');
  const before = await listRest();
  expect(await stack.health('directus')).toBe(1);
  await stack.start('directus', 'panel is ready');
  expect(await stack.health('directus')).toBe(0);
  const response = await fetch(`${stack.urlOf('directus')}/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: 'admin@example.com', password: stack.env.ADMIN_PASSWORD }),
  });
  expect(response.status).toBe(200);
  expect(await stack.terminate('directus')).toBe(0);
  expect(await listRest()).toEqual(before);
}, 480_000);
