import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { findChromium, launchBrowser } from '../../backend/test/chromium.ts';
import { signIn } from './browse.ts';
import { fillDesk } from './fill-desk.ts';
import { startDesk } from './start-desk.ts';
import type { Desk } from './start-desk.ts';

/** Pictures of the panel's main pages for the documentation, light and dark: `docs/panel/`. */
const folder = join(import.meta.dirname, '../../docs/panel');

/** As wide as the panel is made for; as high as the dashboards, and where a table's row ends. */
const viewport = { width: 1440, height: 948 };

/** For what is drawn after the page's last request. */
const SETTLE_MS = 4_000;

async function takeAll(desk: Desk, page: Page, shade: string): Promise<void> {
  const { session } = await fillDesk(desk);
  await page.setViewportSize(viewport);
  const pages: [name: string, path: string, prepare?: () => Promise<void>][] = [
    ['conversations', '/admin/content/chat_sessions'],
    [
      'conversation',
      `/admin/content/chat_sessions/${session}`,
      () => page.getByText('What the bot was sent').last().click(),
    ],
    ['users', '/admin/content/users'],
    ['memories', '/admin/content/embeddings'],
    ['activity', '/admin/insights/$activity'],
    ['health', '/admin/insights/$health'],
  ];
  const dashboards = await dashboardsOf(desk);
  for (const [name, path, prepare] of pages) {
    const to = path
      .replace('$activity', dashboards.get('insights') ?? '')
      .replace('$health', dashboards.get('monitor_heart') ?? '');
    await page.goto(desk.url + to);
    await page.locator('td, .desk-bubble, .v-workspace-tile').first().waitFor();
    await page.waitForLoadState('networkidle');
    await prepare?.();
    await sleep(SETTLE_MS);
    await page.screenshot({ path: join(folder, `${name}-${shade}.png`) });
  }
}

/** Their ids, by their icons. */
async function dashboardsOf(desk: Desk): Promise<Map<string, string>> {
  const { body } = await desk
    .as('Administrator')
    .get<{ data: { id: string; icon: string }[] }>('/dashboards');
  return new Map(body.data.map(({ id, icon }) => [icon, id]));
}

const chromium = await findChromium();
if (chromium === undefined) throw new Error('Screenshots need Chromium.');
await mkdir(folder, { recursive: true });
const [desk, browser] = await Promise.all([startDesk(), launchBrowser(chromium)]);
try {
  for (const shade of ['light', 'dark']) {
    const visitor = await signIn(browser, desk, {
      role: 'Operator',
      language: 'en-US',
      dark: shade === 'dark',
    });
    await takeAll(desk, await visitor.openPage(), shade);
    await visitor.close();
  }
} finally {
  await browser.close();
  await desk.close();
}
