import type { Browser, BrowserContext, Page } from 'playwright-core';
import type { Desk, RoleName } from './start-desk.ts';
import { password, people } from './start-desk.ts';

export type Language = 'en-US' | 'ru-RU';

/** Somebody who has signed in, in a browser of their own. */
export interface Visitor {
  openPage(): Promise<Page>;
  /** What should not have happened so far: page errors, requests to other hosts, unexpected errors. */
  troubles: string[];
  close(): Promise<void>;
}

export async function signIn(
  browser: Browser,
  desk: Desk,
  { role, language, dark }: { role: RoleName; language: Language; dark?: boolean },
): Promise<Visitor> {
  await setLanguage(desk, role, language);
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    reducedMotion: 'reduce',
    colorScheme: dark === true ? 'dark' : 'light',
    locale: language,
  });
  context.setDefaultTimeout(60_000);
  const troubles: string[] = [];
  watch(context, desk.url, troubles);
  const page = await context.newPage();
  await page.goto(`${desk.url}/admin/login`);
  await page.fill('input[type=email]', people[role]);
  await page.fill('input[type=password]', password);
  await page.click('button[type=submit]');
  await page.waitForURL((url) => !url.pathname.includes('/login'));
  await page.close();
  return { openPage: () => context.newPage(), troubles, close: () => context.close() };
}

async function setLanguage(desk: Desk, role: RoleName, language: Language): Promise<void> {
  const admin = desk.as('Administrator');
  const found = await admin.get<{ data: { id: string }[] }>(
    `/users?filter[email][_eq]=${people[role]}&fields=id`,
  );
  const path = `/users/${found.body.data[0]?.id}`;
  await admin.post(path, { language }, { method: 'PATCH' });
}

/** Directus refreshes a session that is not there yet with 400, and asks for its favicon. */
const usual = /status of 40[014]/;
/** The page of a conversation looks again every few seconds, also at one that was forgotten just now. */
const lookedAgain = /\/items\/chat_sessions\/[\w-]+$/;

function watch(context: BrowserContext, url: string, troubles: string[]): void {
  context.on('weberror', (error) => troubles.push(`page error: ${error.error().message}`));
  context.on('console', (message) => {
    if (message.type() !== 'error' || usual.test(message.text())) return;
    const isGone = /status of 403/.test(message.text());
    if (isGone && lookedAgain.test(message.location().url)) return;
    troubles.push(`console: ${message.text()}`);
  });
  context.on('request', (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol.startsWith('http') && host !== new URL(url).host) {
      troubles.push(`request to ${request.url()}`);
    }
  });
  context.on('response', (response) => {
    if (response.status() >= 500) troubles.push(`${response.status()} ${response.url()}`);
  });
}
