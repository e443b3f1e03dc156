import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  onTestFinished,
  test,
} from 'vitest';
import type { TurnExplanation } from '#src/chat/explain-turn.ts';
import { loadConfig } from '#src/config.ts';
import { createLogger } from '#src/logger.ts';
import { serveApi } from '#src/serve-api.ts';
import { findChromium, launchBrowser } from './chromium.ts';
import { createTestDatabase } from './database.ts';
import { startFakeModel } from './fake-model.ts';
import type { FakeModel } from './fake-model.ts';
import type { FakeModelBehaviour, FakeModelRequestBody } from './fake-model-response.ts';

const chromium = await findChromium();
if (chromium === undefined && process.env.CI === 'true') {
  throw new Error('The browser tests need Chromium; the line above says why there is none.');
}

const desktop = { width: 1280, height: 800 };
const phone = { width: 360, height: 740 };

describe.skipIf(chromium === undefined)('the chat page', () => {
  let database: Awaited<ReturnType<typeof createTestDatabase>>;
  let model: FakeModel;
  let server: Awaited<ReturnType<typeof serveApi>>;
  let browser: Browser;
  const contexts: BrowserContext[] = [];
  const consoleErrors: string[] = [];
  const foreignRequests: string[] = [];

  beforeAll(async () => {
    [database, model, browser] = await Promise.all([
      createTestDatabase(),
      startFakeModel(),
      launchBrowser(chromium!),
    ]);
    server = await serve({});
  });

  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await Promise.all([model?.close(), database?.drop()]);
  });

  beforeEach(() => model.behave(doAsTold));

  afterEach(async () => {
    await Promise.all(contexts.splice(0).map((context) => context.close()));
    expect(consoleErrors.splice(0)).toEqual([]);
    expect(foreignRequests.splice(0)).toEqual([]);
  });

  function serve(environment: Record<string, string>) {
    const settings = {
      PORT: '0',
      LLM_BASE_URL: model.url,
      LLM_MODEL: 'fake-model',
      // What is recalled depends on when it was indexed; the panel's test brings its own.
      RAG_ENABLED: 'false',
    };
    const config = loadConfig({ ...settings, ...environment });
    return serveApi(config, database.url, createLogger('silent'));
  }

  async function openPage(
    options: BrowserContextOptions = { viewport: desktop },
    { url } = server,
  ): Promise<Page> {
    const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
    contexts.push(context);
    context.setDefaultTimeout(10_000);
    context.on('request', (request) => {
      const requested = request.url();
      if (!requested.startsWith(`${url}/`) && !requested.startsWith('data:')) {
        foreignRequests.push(requested);
      }
    });
    const page = await context.newPage();
    page.on('console', (message) => {
      if (message.type() === 'error') consoleErrors.push(message.text());
    });
    page.on('pageerror', (error) => consoleErrors.push(String(error)));
    await page.goto(url);
    return page;
  }

  /** Chromium itself writes a failed request to the console. */
  function expectFailedRequests(status: string): void {
    const others = consoleErrors.splice(0).filter((text) => !text.includes(status));
    expect(others).toEqual([]);
  }

  test('greets a first visitor, an example starts the conversation, and its reply counts as sent', async () => {
    const page = await openPage();
    await page.getByRole('heading', { name: 'A chat that shows what it remembers' }).waitFor();
    await page.getByRole('button', { name: 'My name is Ada and I live in Riga' }).click();
    await answered(page, 1);
    expect(await page.locator('.asked').textContent()).toBe('My name is Ada and I live in Riga');
    expect(await page.locator('#welcome').isVisible()).toBe(false);
    await page.getByText(/nothing\searlier · \d+\stokens/).waitFor();
    await expect
      .poll(() => exportOf(page))
      .toMatchObject([{ role: 'user' }, { role: 'assistant', delivery_state: 'sent' }]);
  });

  test('shows the answer while it is written, and Stop ends it', async () => {
    const page = await openPage();
    await send(page, 'Count slowly');
    const reply = page.locator('.reply');
    await reply.getByText(/^0 1 2/).waitFor();
    const early = (await reply.textContent()) ?? '';
    await reply.getByText(new RegExp(`^${early.trim()} \\d+ \\d+`)).waitFor();

    await page.getByRole('button', { name: 'Stop the answer' }).click();
    await answered(page, 1);
    const stopped = await reply.textContent();
    expect(stopped?.startsWith(early.trim())).toBe(true);
    await page.getByText(/^stopped · /).waitFor();
    expect(await page.getByRole('button', { name: 'Stop the answer' }).isVisible()).toBe(false);
    expect(await reply.textContent()).toBe(stopped);
  });

  test('answers several messages sent quickly, each below its own', async () => {
    const page = await openPage();
    const words = ['one', 'two', 'three', 'four', 'five', 'six', 'seven'];
    for (const word of words) await send(page, `Repeat: ${word}`);
    await answered(page, words.length);
    expect(await page.locator('.reply').allTextContents()).toEqual(words);
  });

  test('Shift+Enter starts a new line, Enter sends', async () => {
    const page = await openPage();
    const input = page.getByLabel('Message', { exact: true });
    await input.pressSequentially('Repeat: first');
    await input.press('Shift+Enter');
    await input.pressSequentially('second');
    await input.press('Enter');
    await answered(page, 1);
    expect(await page.locator('.reply p').textContent()).toBe('first\nsecond');
    expect(await input.inputValue()).toBe('');
  });

  test('shows exactly what went into a reply', async () => {
    const page = await openPage();
    await page.route('**/v1/turns/*/context', (route) => route.fulfill({ json: richContext }));
    await send(page, 'What do you know about me?');
    const line = page.getByRole('button', {
      name: 'summary v3 · 10 messages · 2 memories · 812 tokens · 5 left out',
    });
    await line.waitFor();
    expect(await line.getAttribute('aria-expanded')).toBe('true');
    await expectRichPanel(page, page.getByRole('complementary', { name: 'Memory' }));
  });

  test('opens the same panel below the reply on a phone', async () => {
    const page = await openPage({ viewport: phone });
    await page.route('**/v1/turns/*/context', (route) => route.fulfill({ json: richContext }));
    await send(page, 'What do you know about me?');
    const line = page.getByRole('button', { name: /^summary v3/ });
    await line.waitFor();
    expect(await page.locator('#memory').count()).toBe(0);
    await line.click();
    await expectRichPanel(page, page.getByRole('article'));
    expect(await overflow(page)).toBe(0);
    await line.click();
    expect(await page.locator('#memory').count()).toBe(0);
  });

  test('on a wide screen, an earlier reply can be looked into', async () => {
    const page = await openPage();
    await send(page, 'First question');
    await send(page, 'Second question');
    await answered(page, 2);
    const panel = page.getByRole('complementary', { name: 'Memory' });
    await panel.getByText('To “Second question”').waitFor();
    await page.locator('.details').first().click();
    await panel.getByText('To “First question”').waitFor();
    await panel.getByText('None: there was nothing before this message.').waitFor();
  });

  test('while an operator holds the chat it says so, and shows their words after a reload', async () => {
    const page = await openPage();
    await send(page, 'Repeat: before');
    await answered(page, 1);
    const chatId = await page.evaluate(() => localStorage.getItem('chat-id'));
    const operate = (act: string) =>
      page.request.post(`${server.url}/v1/chats/${chatId}/${act}`, {
        data: { text: 'Here I am.' },
      });
    await operate('takeover');
    await send(page, 'Is anybody there?');
    await page.getByText('An operator has taken over').waitFor();
    await operate('messages');
    await page.reload();
    await page.getByText('An operator has taken over').waitFor();
    await page.getByText('Here I am.').waitFor();
    expect(await page.locator('.problem').count()).toBe(0);
  });

  test('a new conversation keeps the old one above a divider', async () => {
    const page = await openPage();
    const button = page.getByRole('button', { name: 'New conversation' });
    expect(await button.isDisabled()).toBe(true);
    await send(page, 'Repeat: before');
    await answered(page, 1);
    // What is written while the server still closes the old conversation belongs to the new one.
    await page.route('**/v1/chat/reset', (route) => sleep(200).then(() => route.continue()));
    await button.click();
    await send(page, 'Repeat: after');
    await answered(page, 2);
    const shape = page.locator('#thread > *').evaluateAll(classNames);
    expect(await shape).toEqual(['exchange', 'divider', 'exchange']);
    await page.getByRole('article').last().getByText('nothing earlier').waitFor();

    await page.reload();
    await answered(page, 2);
    const reloaded = page.locator('#thread > *').evaluateAll(classNames);
    expect(await reloaded).toEqual(['exchange', 'divider', 'exchange']);
  });

  test('a reload while answers are written and waited for still brings all, once', async () => {
    const page = await openPage();
    const answer = Array.from({ length: 30 }, (_, n) => `word${n}`).join(' ');
    await send(page, `Repeat slowly: ${answer}`);
    await send(page, 'Repeat: second');
    await page.locator('.reply').getByText('word2').waitFor();
    await page.reload();
    await answered(page, 2);
    expect(await page.locator('.reply').allTextContents()).toEqual([answer, 'second']);
    expect(await exportOf(page)).toHaveLength(4);
  });

  test('a failure is said politely, and Retry sends the same message id', async () => {
    const page = await openPage();
    const ids = collectMessageIds(page);
    model.behave({ kind: 'status', status: 400 });
    await send(page, 'Repeat: better now');
    await page.getByText('The model gave no usable answer').waitFor();
    await page.getByText(/Reference [\da-f-]{36}/).waitFor();
    await page.getByRole('button', { name: 'Retry' }).click();
    await page.getByText(/Reference [\da-f-]{36}/).waitFor();

    await page.reload();
    await page.getByText('This message got no answer').waitFor();
    model.behave(doAsTold);
    await send(page, 'Repeat: meanwhile');
    await answered(page, 1);
    await page.getByRole('button', { name: 'Retry' }).click();
    await answered(page, 2);
    // Tried again at the end, as the server keeps it.
    expect(await page.locator('.reply').allTextContents()).toEqual(['meanwhile', 'better now']);
    expect(await page.locator('.problem').count()).toBe(0);
    expect(ids).toEqual([ids[0], ids[0], expect.not.stringMatching(ids[0]!), ids[0]]);
    await page.reload();
    await answered(page, 2);
    expect(await page.locator('.reply').allTextContents()).toEqual(['meanwhile', 'better now']);
  });

  test('a lost connection is said politely, and Retry sends the same message id', async () => {
    const page = await openPage();
    const ids = collectMessageIds(page);
    await page.route('**/v1/chat/handle', (route) => route.abort(), { times: 1 });
    await send(page, 'Repeat: back again');
    await page.getByText('The connection was lost').waitFor();
    await page.getByRole('button', { name: 'Retry' }).click();
    await answered(page, 1);
    expect(ids).toEqual([ids[0], ids[0]]);
    expectFailedRequests('ERR_FAILED');
  });

  test('what was stopped before its first word is asked again as a new message', async () => {
    const page = await openPage();
    const ids = collectMessageIds(page);
    model.behave([{ kind: 'hang' }, { kind: 'reply', text: 'after all' }]);
    await send(page, 'Are you there?');
    await expect
      .poll(() => model.requests.at(-1)?.body.messages.at(-1)?.content)
      .toBe('Are you there?');
    await page.getByRole('button', { name: 'Stop the answer' }).click();
    await page.getByText('The answer was stopped').waitFor();
    await page.getByRole('button', { name: 'Ask again' }).click();
    await answered(page, 1);
    const asked = await page.locator('.asked').allTextContents();
    expect(asked).toEqual(['Are you there?', 'Are you there?']);
    expect(await page.locator('.reply').allTextContents()).toEqual(['', 'after all']);
    expect(new Set(ids).size).toBe(2);

    await page.reload();
    await answered(page, 1);
    await page.getByText('The answer was stopped').waitFor();
    expect(await page.locator('.reply').allTextContents()).toEqual(['', 'after all']);
  });

  test('keeps the end in view until the reader scrolls up', async () => {
    const page = await openPage({ viewport: phone });
    const jump = page.getByRole('button', { name: 'Go to the latest message' });
    for (const n of [1, 2]) {
      await send(page, `Repeat: ${'another line\n\n'.repeat(20)}end ${n}`);
      await answered(page, n);
      await expect.poll(() => distanceToEnd(page)).toBeLessThan(2);
    }
    await page.locator('.reply').last().hover();
    await page.mouse.wheel(0, -400);
    await jump.waitFor();
    await send(page, 'Repeat: brings the end back');
    await answered(page, 3);
    await expect.poll(() => distanceToEnd(page)).toBeLessThan(2);
    expect(await jump.isVisible()).toBe(false);
  });

  test('asks once for the key where the server wants one', async () => {
    const locked = await serve({ API_KEY: 'let-me-in' });
    onTestFinished(locked.close);
    const page = await openPage({ viewport: phone }, locked);
    await send(page, 'Repeat: welcome');
    await page.getByLabel('API key').fill('wrong');
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByText('That key was not accepted').waitFor();
    await page.getByLabel('API key').fill('let-me-in');
    await page.getByRole('button', { name: 'Continue' }).click();
    await answered(page, 1);
    await page.reload();
    await answered(page, 1);
    expectFailedRequests('401');
  });

  test('markup in an answer stays text', async () => {
    const page = await openPage();
    // A line separator (U+2028) ends no line of an event.
    const markup = '<img src=x onerror="document.title=1">\u2028<script>document.title=2</script>';
    await send(page, `Repeat: ${markup}`);
    await answered(page, 1);
    expect(await page.locator('.reply').textContent()).toBe(markup);
    expect(await page.locator('.reply :is(img, script)').count()).toBe(0);
    expect(await page.title()).toBe('LLM Bot Core');
  });

  test('lays out a little markdown, after a reload too', async () => {
    const page = await openPage();
    await send(
      page,
      'Repeat: A list:\n\n- one **bold**\n- two `code`\n\n3. three\n\n```js\nlet a;\n```',
    );
    await answered(page, 1);
    await page.reload();
    await answered(page, 1);
    const reply = page.locator('.reply');
    expect(await reply.locator('> *').evaluateAll(tagNames)).toEqual(['P', 'UL', 'OL', 'PRE']);
    expect(await reply.locator('li').allTextContents()).toEqual(['one bold', 'two code', 'three']);
    expect(await reply.locator('strong').textContent()).toBe('bold');
    expect(await reply.locator('ol').getAttribute('start')).toBe('3');
    expect(await reply.locator('pre').textContent()).toBe('let a;');
    await page.getByText(/nothing\searlier · \d+\stokens/).waitFor();
  });

  test('fits a phone', async () => {
    const page = await openPage({ viewport: phone });
    expect(await overflow(page)).toBe(0);
    const long = 'x'.repeat(200);
    await send(page, `Repeat: ${long}\n\n\`\`\`\n${long}\n\`\`\``);
    await answered(page, 1);
    await page.locator('.details').click();
    for (const viewport of [phone, { width: 320, height: 568 }]) {
      await page.setViewportSize(viewport);
      expect(await overflow(page)).toBe(0);
      const composer = await page.locator('#composer').boundingBox();
      expect(composer!.y + composer!.height).toBeLessThanOrEqual(viewport.height);
    }
  });

  test('is readable in a light and in a dark scheme', async () => {
    const page = await openPage();
    await page.route('**/v1/turns/*/context', (route) => route.fulfill({ json: richContext }));
    await send(page, 'Repeat: some `code` to read');
    await answered(page, 1);
    model.behave({ kind: 'status', status: 400 });
    await send(page, 'This one fails');
    await page.getByRole('button', { name: 'Retry' }).waitFor();
    await page.mouse.move(0, 0);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      expect(await page.evaluate<string[]>(textsBelowContrast(4.5))).toEqual([]);
    }
  });
});

/** The model: repeats what follows "Repeat: ", or says one sentence. */
function doAsTold({ messages }: FakeModelRequestBody): FakeModelBehaviour {
  const text = messages.at(-1)?.content ?? '';
  const [, slowly, words] = /^Repeat( slowly)?: ([^]*)$/.exec(text) ?? [];
  if (words !== undefined) return { kind: 'reply', text: words, chunkDelayMs: slowly ? 50 : 2 };
  if (text !== 'Count slowly') return { kind: 'reply', text: 'Noted. Ask me about it.' };
  const numbers = Array.from({ length: 400 }, (_, n) => n);
  return { kind: 'reply', text: numbers.join(' '), chunkDelayMs: 50 };
}

/** The messages that the server keeps of the page's chat, across its sessions. */
async function exportOf(page: Page): Promise<Record<string, unknown>[]> {
  const chatId = await page.evaluate<string>('localStorage.getItem("chat-id")');
  const response = await fetch(new URL(`/v1/chats/${chatId}/export`, page.url()));
  const { sessions }: { sessions: { messages: Record<string, unknown>[] }[] } = JSON.parse(
    await response.text(),
  );
  return sessions.flatMap(({ messages }) => messages);
}

async function send(page: Page, text: string): Promise<void> {
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
}

function answered(page: Page, replies: number): Promise<void> {
  return page.locator(`:nth-match([data-state="answered"], ${replies})`).waitFor();
}

function collectMessageIds(page: Page): string[] {
  const ids: string[] = [];
  page.on('request', (request) => {
    if (request.url().endsWith('/v1/chat/handle')) ids.push(request.postDataJSON().message_id);
  });
  return ids;
}

async function expectRichPanel(page: Page, panel: ReturnType<Page['getByRole']>): Promise<void> {
  for (const text of [
    'version 3, up to message 42',
    'Ada lives in Riga with her cat Luna and is allergic to peanuts.',
    'Sent word for word: messages 43 to 52.',
    /score 0\.83 · message 17 · 2 Oct 2026/,
    'My name is Ada and I live in Riga, near the old market.',
    /score 0\.61 · summary · 3 Oct 2026/,
    'It was erased.',
    'about 837 of 8,000 tokens',
    '4 older messages over the token budget',
    '1 message without an answer',
    'token budget exceeded',
    'google/gemini-2.5-flash',
    '812 in, 86 out',
    '1.8 s',
    '$0.00041',
  ]) {
    await panel.getByText(text).waitFor();
  }
  expect(await page.getByRole('img', { name: '837 of 8,000 tokens used' }).isVisible()).toBe(true);
}

function overflow(page: Page): Promise<number> {
  return page.evaluate<number>(
    'Math.max(...[document.documentElement, document.getElementById("scroller")].map((e) => e.scrollWidth - e.clientWidth))',
  );
}

function distanceToEnd(page: Page): Promise<number> {
  return page
    .locator('#scroller')
    .evaluate((e: Record<string, any>) => e.scrollHeight - e.scrollTop - e.clientHeight);
}

function classNames(elements: { className?: unknown }[]): unknown[] {
  return elements.map(({ className }) => className);
}

function tagNames(elements: { tagName?: unknown }[]): unknown[] {
  return elements.map(({ tagName }) => tagName);
}

/** A script that lists every visible text whose contrast (WCAG 2) to what lies behind it is below `least`. */
function textsBelowContrast(least: number): string {
  return `(() => {
    const channels = (color) => color.match(/[\\d.]+/g).map(Number);
    const light = (color) => {
      const [r, g, b] = channels(color).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
      for (let e = element; e; e = e.parentElement) {
        const color = getComputedStyle(e).backgroundColor;
        if (channels(color)[3] !== 0) return color;
      }
    };
    const ownText = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim() !== '');
    return [...document.body.querySelectorAll('*')]
      .filter((e) => ownText(e) && e.checkVisibility() && !e.closest(':disabled, script, style, .unseen'))
      .map((e) => {
        const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
        return { text: e.textContent.trim(), ratio: (a + 0.05) / (b + 0.05) };
      })
      .filter(({ ratio }) => !(ratio >= ${least}))
      .map(({ text, ratio }) => ratio.toFixed(2) + ' ' + text);
  })()`;
}

/** As the real one can be: every part is there, and one memory was erased since. */
const richContext: TurnExplanation = {
  turn_id: '9',
  session_id: '0190aa50-0000-7000-8000-000000000000',
  chat_id: 'c',
  state: 'answered',
  model: 'google/gemini-2.5-flash',
  finish_reason: 'stop',
  latency_ms: 1840,
  attempts: 1,
  error: null,
  user_message_id: '53',
  reply_message_id: '54',
  tokens: { prompt: 812, completion: 86 },
  cost_usd: 0.000412,
  context: {
    instruction: { tokens: 96 },
    summary: {
      id: '3',
      version: 3,
      last_message_id: '42',
      tokens: 214,
      content: 'Ada lives in Riga with her cat Luna and is allergic to peanuts.',
    },
    window: { first_message_id: '43', last_message_id: '52', messages: 10, tokens: 486 },
    recalled: [
      {
        memory_id: '15',
        source: 'message',
        message_id: '17',
        session_id: '00000000-0000-4000-8000-000000000000',
        role: 'user',
        score: 0.83,
        created_at: '2026-10-02T10:12:00Z',
        content: 'My name is Ada and I live in Riga, near the old market.',
        tokens: 18,
      },
      {
        memory_id: '31',
        source: 'summary',
        message_id: null,
        session_id: '00000000-0000-4000-8000-000000000000',
        role: 'system',
        score: 0.61,
        created_at: '2026-10-03T18:40:00Z',
        content: null,
        tokens: 14,
      },
    ],
    left_out: { messages: 4, unanswered_messages: 1, memories: 0 },
    message: { tokens: 9 },
    prompt_tokens_estimated: 837,
    token_budget: 8000,
    notes: ['token_budget_exceeded'],
  },
};
