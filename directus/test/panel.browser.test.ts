import { readFile } from 'node:fs/promises';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { findChromium, launchBrowser } from '../../backend/test/chromium.ts';
import { eventually } from '../../backend/test/eventually.ts';
import { visit } from './browse.ts';
import type { Language, Visit } from './browse.ts';
import { startDesk } from './start-desk.ts';
import type { Desk, RoleName } from './start-desk.ts';

// Directus takes its time on a busy machine.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const chromium = await findChromium();
if (chromium === undefined && process.env.CI === 'true') {
  throw new Error('The browser tests need Chromium; the line above says why there is none.');
}

const summaryText = 'The user is called Ada, lives in Riga and likes tea with lemon.';

/** What is read and pressed, in English and in Russian. */
const words = {
  'en-US': {
    conversations: 'Conversations',
    why: 'What the bot was sent, and why',
    window: /Window: \d+ messages verbatim/,
    summary: 'Summary, version 1',
    correct: 'Correct',
    save: 'Save',
    say: 'Write as the operator…',
    send: 'Send',
    takeOver: 'Take over',
    takenOver: 'Taken over: the bot is silent',
    handBack: 'Hand back',
    summarize: 'Summarise now',
    close: 'Close',
    closed: 'Closed',
    delete: 'Delete',
    importance: 'Importance',
    retry: 'Try again',
    sendAgain: 'Send again',
    letIn: 'Let in',
    block: 'Block',
    forget: 'Forget the chat',
    forgetUser: 'Forget the user',
    rows: /This erases (\d+) rows for good/,
    saved: 'Saved. The next reply uses it.',
    queued: 'It was asked for and happens shortly.',
    readOnly: 'You may read here, not change.',
    dashboards: 'Messages a day',
    unexpected: /unexpected error/i,
  },
  'ru-RU': {
    conversations: 'Разговоры',
    why: 'Что было отправлено модели и почему',
    window: /Окно: \d+ сообщений дословно/,
    summary: 'Итог, версия 1',
    correct: 'Исправить',
    save: 'Сохранить',
    say: 'Написать от имени оператора…',
    send: 'Отправить',
    takeOver: 'Перехватить',
    takenOver: 'Перехвачен: бот молчит',
    handBack: 'Вернуть боту',
    summarize: 'Подвести итог',
    close: 'Закрыть',
    closed: 'Закрыт',
    delete: 'Удалить',
    importance: 'Важность',
    retry: 'Повторить',
    sendAgain: 'Отправить снова',
    letIn: 'Допустить',
    block: 'Заблокировать',
    forget: 'Забыть чат',
    forgetUser: 'Забыть пользователя',
    rows: /Будет навсегда стёрто строк: (\d+)/,
    saved: 'Сохранено. Следующий ответ это учтёт.',
    queued: 'Запрошено, скоро будет готово.',
    readOnly: 'Здесь вам можно только читать.',
    dashboards: 'Сообщений в день',
    unexpected: /неожиданная ошибка|unexpected error/i,
  },
} as const;

describe.skipIf(chromium === undefined)('the panel in a browser', () => {
  let desk: Desk;
  let browser: Browser;
  const visits: Visit[] = [];

  beforeAll(async () => {
    [desk, browser] = await Promise.all([startDesk(), launchBrowser(chromium!)]);
    desk.model.behave(({ max_tokens: longest }) => ({
      kind: 'reply',
      text: longest === undefined ? 'I see.' : summaryText,
    }));
  });

  afterAll(async () => {
    await browser?.close();
    await desk?.close();
  });

  afterEach(async () => {
    for (const visited of visits.splice(0)) {
      await visited.close();
      expect(visited.troubles).toEqual([]);
    }
  });

  async function open(role: RoleName, language: Language): Promise<Page> {
    const visited = await visit(browser, desk, { role, language });
    visits.push(visited);
    return visited.page;
  }

  async function say(chat: string, ...texts: string[]): Promise<string> {
    let session = '';
    for (const text of texts) {
      const { body } = await desk.api.handle({ chat_id: chat, text });
      session = body.session_id;
    }
    return session;
  }

  /** A conversation with a summary and a turn after it. */
  async function talk(chat: string): Promise<string> {
    const session = await say(chat, 'I am Ada.', 'I live in Riga.', 'I like tea.');
    await eventually(async () => {
      const rows = await desk.sql.rows(
        'select id from conversation_summaries where session_id = $1',
        [session],
      );
      expect(rows).toHaveLength(1);
    });
    return say(chat, 'What do I drink?');
  }

  async function goTo(page: Page, path: string): Promise<void> {
    await page.goto(`${desk.url}/admin/${path}`);
  }

  async function search(page: Page, text: string): Promise<void> {
    await page.locator('.search-input').click();
    await page.locator('.search-input input').fill(text);
  }

  async function expectWell(page: Page, { unexpected }: { unexpected: RegExp }): Promise<void> {
    expect(await page.locator('body').innerText()).not.toMatch(unexpected);
  }

  const bubble = (page: Page, text: string) => page.locator('.desk-bubble', { hasText: text });
  const press = (page: Page, name: string) =>
    page
      .locator('button.desk-button', { hasText: new RegExp(`${name}$`) })
      .first()
      .click();
  const confirm = (page: Page) => page.locator('.desk-dialog button.danger').click();
  const seen = (page: Page, text: string | RegExp) => page.getByText(text).first().waitFor();

  const languages: Language[] = ['en-US', 'ru-RU'];

  test.each(languages)(
    'an operator finds, reads, corrects and steers a conversation (%s)',
    async (language) => {
      const chat = `talk-${language}`;
      const session = await talk(chat);
      const t = words[language];
      const page = await open('Operator', language);

      await goTo(page, 'content/chat_sessions');
      await page
        .getByRole('heading', { name: t.conversations })
        .or(page.getByText(t.conversations))
        .first()
        .waitFor();
      await search(page, chat);
      await page
        .locator('td', { hasText: new RegExp(`^\\s*${chat}\\s*$`) })
        .first()
        .click();
      await bubble(page, 'What do I drink?').waitFor();

      await page.getByText(t.why).last().click();
      await seen(page, t.window);
      await page.locator('.desk-context').getByText(summaryText).waitFor();

      await press(page, t.correct);
      await page.locator('.desk-summary textarea').fill('The user is called Grace.');
      await press(page, t.save);
      await seen(page, t.saved);
      await say(chat, 'Who am I?');
      const prompt = JSON.stringify(desk.model.requests.at(-1)?.body.messages);
      expect(prompt).toContain('The user is called Grace.');

      await bubble(page, 'What do I drink?').getByLabel(t.importance).selectOption('0');
      await eventually(async () => {
        const rows = await desk.sql.rows(
          `select importance from embeddings e join messages m on m.id = e.message_id
         where m.session_id = $1 and m.content = 'What do I drink?'`,
          [session],
        );
        expect(rows).toEqual([{ importance: 0 }]);
      });

      await bubble(page, 'What do I drink?').getByText(t.delete).click();
      await confirm(page);
      await bubble(page, 'What do I drink?').waitFor({ state: 'detached' });

      await press(page, t.takeOver);
      await seen(page, t.takenOver);
      const silent = await desk.api.handle({ chat_id: chat, text: 'Is anybody there?' });
      expect(silent.body.type).toBe('silence');
      await page.getByLabel(t.say).fill('I am here.');
      await press(page, t.send);
      await page.locator('.desk-bubble.operator', { hasText: 'I am here.' }).waitFor();
      await press(page, t.handBack);
      await page.getByText(t.takenOver).waitFor({ state: 'detached' });

      await press(page, t.summarize);
      await seen(page, t.queued);
      await expectWell(page, t);

      await press(page, t.close);
      await confirm(page);
      await page.locator('em.closed').waitFor();

      await press(page, t.forget);
      await seen(page, t.rows);
      await confirm(page);
      await eventually(async () => {
        const rows = await desk.sql.rows('select id from chat_sessions where chat_id = $1', [chat]);
        expect(rows).toEqual([]);
      });
      await expectWell(page, t);
    },
  );

  test.each(languages)(
    'an operator sees what is stuck and has it tried again (%s)',
    async (language) => {
      const chat = `stuck-${language}`;
      const t = words[language];
      const { body } = await desk.api.handle({ chat_id: chat, text: 'Hello' });
      for (const state of ['sending', 'uncertain']) {
        await desk.api.post(`/v1/deliveries/${body.reply_message_id}`, { state });
      }
      await desk.sql.rows(
        `insert into turns (session_id, chat_id, user_id, state, error_code, error, attempts)
       select id, chat_id, user_id, 'failed', 'model_failed', 'The model gave nothing.', 1
         from chat_sessions where id = $1`,
        [body.session_id],
      );
      const page = await open('Operator', language);
      await goTo(page, `content/chat_sessions/${body.session_id}`);
      await press(page, t.sendAgain);
      await eventually(async () => {
        const rows = await desk.sql.rows('select delivery_state from messages where id = $1', [
          body.reply_message_id,
        ]);
        expect(rows).toEqual([{ delivery_state: 'pending' }]);
      });
      const [failed] = await desk.sql.rows<{ id: string }>(
        `select id from turns where chat_id = $1 and state = 'failed'`,
        [chat],
      );
      await goTo(page, `content/turns/${failed?.id}`);
      await seen(page, /The model gave nothing\./);
      expect(await page.locator('button.desk-button', { hasText: t.retry }).count()).toBe(1);
      await expectWell(page, t);
    },
  );

  test.each(languages)(
    'an operator lets in, limits, blocks and forgets a user (%s)',
    async (language) => {
      const t = words[language];
      const id = `person-${language}`;
      await desk.sql.rows(
        `insert into users (id, access, pairing_code) values ($1, 'pending', $1)`,
        [id],
      );
      const access = async () =>
        (await desk.sql.rows('select access from users where id = $1', [id]))[0];
      const page = await open('Operator', language);
      await goTo(page, `content/users/${id}`);
      await press(page, t.letIn);
      await eventually(async () => expect(await access()).toEqual({ access: 'approved' }));
      await page.locator('input[type=number]').first().fill('7');
      await page.keyboard.press('Control+s');
      await eventually(async () => {
        const rows = await desk.sql.rows('select rate_limit_per_minute from users where id = $1', [
          id,
        ]);
        expect(rows).toEqual([{ rate_limit_per_minute: 7 }]);
      });
      await press(page, t.block);
      await confirm(page);
      await eventually(async () => expect(await access()).toEqual({ access: 'blocked' }));
      await press(page, t.forgetUser);
      await seen(page, t.rows);
      await expectWell(page, t);
    },
  );

  test.each(languages)('an export has all rows that are filtered (%s)', async (language) => {
    const chat = `export-${language}`;
    const session = await say(chat, 'Hello');
    await desk.sql.rows(
      `insert into messages (session_id, role, content)
       select $1, 'system', 'line ${language} ' || n from generate_series(1, 120) as n`,
      [session],
    );
    const page = await open('Viewer', language);
    await goTo(page, 'content/messages');
    await search(page, `line ${language}`);
    await page.locator('td', { hasText: 'I see.' }).first().waitFor({ state: 'detached' });
    const button = page.locator('button.desk-button', { hasText: 'CSV' });
    await button.waitFor();
    await page
      .locator('td', { hasText: `line ${language}` })
      .first()
      .waitFor();
    const [download] = await Promise.all([page.waitForEvent('download'), button.click()]);
    const text = await readFile(await download.path(), 'utf8');
    expect(text.trimEnd().split('\r\n')).toHaveLength(121);
    await expectWell(page, words[language]);
  });

  test.each(languages)('a Viewer reads the same and is offered no deed (%s)', async (language) => {
    const t = words[language];
    const session = await talk(`seen-${language}`);
    const page = await open('Viewer', language);
    await goTo(page, `content/chat_sessions/${session}`);
    await bubble(page, 'What do I drink?').waitFor();
    await seen(page, t.readOnly);
    await page.getByText(t.why).last().click();
    await seen(page, t.window);
    for (const deed of [t.takeOver, t.summarize, t.delete, t.forget, t.correct, t.importance]) {
      expect(await page.locator('.desk-session').getByText(deed, { exact: true }).count()).toBe(0);
    }
    await expectWell(page, t);
  });

  test.each(languages)('an Administrator finds the dashboards filled (%s)', async (language) => {
    const t = words[language];
    const page = await open('Administrator', language);
    await goTo(page, 'insights');
    await page.getByText('Activity · Активность').first().click();
    await page.getByText(t.dashboards).first().waitFor();
    await goTo(page, 'insights');
    await page.getByText('Health · Здоровье').first().click();
    await page
      .getByText(/Index lag/)
      .first()
      .waitFor();
    await expectWell(page, t);
  });

  test('with the backend gone the page says so, and can still be read', async () => {
    const session = await talk('lonely');
    const page = await open('Operator', 'en-US');
    await goTo(page, `content/chat_sessions/${session}`);
    await bubble(page, 'What do I drink?').waitFor();
    await desk.stopBackend();
    await press(page, words['en-US'].takeOver);
    await seen(page, /The backend does not answer/);
    await page.reload();
    await bubble(page, 'What do I drink?').waitFor();
    // Its own 502 is what this test is about.
    visits.at(-1)?.troubles.splice(0);
  });
});
