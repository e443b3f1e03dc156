import { readFile } from 'node:fs/promises';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { findChromium, launchBrowser } from '../../backend/test/chromium.ts';
import { eventually } from '../../backend/test/eventually.ts';
import { startFakeEmbeddings } from '../../backend/test/fake-embeddings.ts';
import type { FakeEmbeddings } from '../../backend/test/fake-embeddings.ts';
import type { FakeModelRequest } from '../../backend/test/fake-model.ts';
import { startVectorStore } from '../../backend/test/vector-store.ts';
import type { TestVectorStore } from '../../backend/test/vector-store.ts';
import { signIn } from './browse.ts';
import type { Language, Visitor } from './browse.ts';
import { cutTexts } from './cut-texts.ts';
import { startDesk } from './start-desk.ts';
import type { Desk, RoleName } from './start-desk.ts';
import { words } from './words.ts';

// Directus takes its time on a busy machine.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const chromium = await findChromium();
if (chromium === undefined && process.env.CI === 'true') {
  throw new Error('The browser tests need Chromium; the line above says why there is none.');
}

const summaryText = 'The user is called Ada, lives in Riga and likes tea with lemon.';
const fact = 'My tortoiseshell cat is called Minka.';
const question = 'What is my cat called, the tortoiseshell?';
const languages: Language[] = ['en-US', 'ru-RU'];

describe.skipIf(chromium === undefined)('the panel in a browser', () => {
  let desk: Desk;
  let browser: Browser;
  let embeddings: FakeEmbeddings;
  let store: TestVectorStore;
  /** The model refuses what has this in it. */
  let refused: string | undefined;

  beforeAll(async () => {
    [embeddings, store] = await Promise.all([startFakeEmbeddings(), startVectorStore()]);
    const vectors = {
      QDRANT_URL: store.url,
      EMBEDDINGS_BASE_URL: embeddings.url,
      EMBEDDINGS_MODEL: 'tests/panel',
      RECALL_TIMEOUT_MS: '60000',
    };
    [desk, browser] = await Promise.all([startDesk(vectors), launchBrowser(chromium!)]);
    desk.model.behave(({ max_tokens: longest, messages }) => {
      if (refused !== undefined && JSON.stringify(messages).includes(refused)) {
        return { kind: 'status', status: 400 };
      }
      const usage = { prompt_tokens: 320, completion_tokens: 40, cost: 0.0004 };
      return { kind: 'reply', text: longest === undefined ? 'I see.' : summaryText, usage };
    });
  });

  /** Only summaries have a longest length here. */
  const isSummary = ({ body }: FakeModelRequest) => body['max_tokens'] !== undefined;

  afterAll(async () => {
    await browser?.close();
    await desk?.close();
    await Promise.all([embeddings?.close(), store?.close()]);
  });

  /** Those who have signed in, by role, in the language of the tests that run. */
  const visitors = new Map<RoleName, Visitor>();
  const pages: Page[] = [];

  async function open(role: RoleName, language: Language): Promise<Page> {
    const visitor = visitors.get(role) ?? (await signIn(browser, desk, { role, language }));
    visitors.set(role, visitor);
    const page = await visitor.openPage();
    pages.push(page);
    return page;
  }

  afterEach(async () => {
    for (const page of pages.splice(0)) await page.close();
    for (const { troubles } of visitors.values()) expect(troubles.splice(0)).toEqual([]);
  });

  async function signOut(): Promise<void> {
    for (const visitor of visitors.values()) await visitor.close();
    visitors.clear();
  }

  async function say(chat: string, ...texts: string[]): Promise<string> {
    let session = '';
    for (const text of texts) {
      const { body } = await desk.api.handle({ chat_id: chat, text });
      session = body.session_id;
    }
    return session;
  }

  /** The ledger has all that was said. */
  async function expectEntered(session: string): Promise<void> {
    const waiting = await desk.sql.rows(
      `select from unentered_messages u join messages m on m.id = u.message_id
         where m.session_id = $1`,
      [session],
    );
    expect(waiting).toEqual([]);
  }

  /** A conversation with a summary, and a turn after it for which something was recalled. */
  async function talk(chat: string): Promise<string> {
    const session = await say(chat, fact, 'It rains today.', 'I like tea.');
    await eventually(async () => {
      const [row] = await desk.sql.rows(
        `select (select count(*) from conversation_summaries where session_id = $1)::integer as summaries,
           (select count(*) from embeddings where session_id = $1 and state <> 'indexed')::integer as waiting`,
        [session],
      );
      expect(row).toEqual({ summaries: 1, waiting: 0 });
      await expectEntered(session);
    });
    return say(chat, question);
  }

  /** How many rows are kept of somebody who spoke in one chat alone. */
  async function rowsOf(session: string): Promise<number> {
    await eventually(() => expectEntered(session));
    const tables = ['messages', 'conversation_summaries', 'turns', 'embeddings'];
    const counts = tables.map((table) => `(select count(*) from ${table} where session_id = $1)`);
    const [row] = await desk.sql.rows<{ n: number }>(
      `select (1 + ${counts.join(' + ')})::integer as n`,
      [session],
    );
    return row?.n ?? 0;
  }

  /** A row of a time that takes many letters: "11 months ago". Others are new, which takes as many. */
  async function age(table: 'chat_sessions' | 'turns', id: string): Promise<void> {
    await desk.sql.rows(
      `update ${table} set created_at = now() - interval '330 days' where id::text = $1`,
      [id],
    );
  }

  async function goTo(page: Page, path: string): Promise<void> {
    await page.goto(`${desk.url}/admin/${path}`);
  }

  async function search(page: Page, text: string): Promise<void> {
    await page.locator('.search-input').click();
    await page.locator('.search-input input').fill(text);
  }

  const bubble = (page: Page, text: string) => page.locator('.desk-bubble', { hasText: text });
  const cell = (page: Page, text: string) =>
    page.locator('td', { hasText: new RegExp(`^\\s*${text}\\s*$`) }).first();
  const button = (page: Page, name: string) =>
    page.locator('button.desk-button', { hasText: new RegExp(`${name}$`) }).first();
  const press = (page: Page, name: string) => button(page, name).click();
  const confirm = (page: Page) => page.locator('.desk-dialog button.danger').click();
  const seen = (page: Page, text: string | RegExp) => page.getByText(text).first().waitFor();
  /** From the table of a collection to one of its bookmarks. */
  const bookmark = (page: Page, name: string) =>
    page.locator('a.v-list-item', { hasText: name }).click();

  describe.each(languages)('%s', (language) => {
    const t = words[language];
    afterAll(signOut);

    /** Nothing went wrong, and nothing is cut. */
    async function expectWell(page: Page): Promise<void> {
      await eventually(async () => expect(await cutTexts(page), page.url()).toEqual([]));
      expect(await page.locator('body').innerText()).not.toMatch(t.unexpected);
    }

    async function expectTable(page: Page, collection: keyof typeof t.columns): Promise<void> {
      await eventually(async () => {
        const columns = await page.locator('th .name').allInnerTexts();
        expect(columns).toEqual(t.columns[collection]);
      });
      await expectWell(page);
    }

    test('an operator finds, reads, corrects and steers a conversation', async () => {
      const chat = `talk-${language}`;
      const session = await talk(chat);
      await age('chat_sessions', session);
      const page = await open('Operator', language);
      const summaries = async () => {
        const rows = await desk.sql.rows<{ content: string }>(
          'select content from conversation_summaries where session_id = $1 order by version',
          [session],
        );
        return rows.map(({ content }) => content);
      };

      await goTo(page, 'content/chat_sessions');
      await seen(page, t.conversations);
      await search(page, chat);
      await cell(page, chat).waitFor();
      await expectTable(page, 'chat_sessions');
      await cell(page, chat).click();
      await bubble(page, question).waitFor();

      await page.getByText(t.why).last().click();
      const context = page.locator('.desk-context');
      for (const shown of [t.window, t.recalled, t.score, t.counted, '$0.0004', t.leftOut]) {
        await context.getByText(shown).first().waitFor();
      }
      await context.getByText(summaryText).waitFor();
      await context.locator('.desk-memory').getByText(fact).waitFor();

      await press(page, t.correct);
      await page.locator('.desk-summary textarea').fill('The user is called Grace.');
      await press(page, t.save);
      await seen(page, t.saved);
      await say(chat, 'Who am I?');
      const prompt = JSON.stringify(desk.model.requests.at(-1)?.body.messages);
      expect(prompt).toContain('The user is called Grace.');

      for (const importance of [3, 1, 0]) {
        const choice = bubble(page, question).getByLabel(t.importance);
        await choice.selectOption(String(importance));
        await eventually(async () => {
          const rows = await desk.sql.rows(
            `select importance from embeddings e join messages m on m.id = e.message_id
               where m.session_id = $1 and m.content = $2`,
            [session, question],
          );
          expect(rows).toEqual([{ importance }]);
        });
      }

      await bubble(page, question).getByText(t.delete).click();
      await confirm(page);
      await bubble(page, question).waitFor({ state: 'detached' });

      await press(page, t.takeOver);
      await seen(page, t.takenOver);
      const silent = await desk.api.handle({ chat_id: chat, text: 'Is anybody there?' });
      expect(silent.body.type).toBe('silence');
      await page.getByLabel(t.say).fill('I am here.');
      await press(page, t.send);
      await page.locator('.desk-bubble.operator', { hasText: 'I am here.' }).waitFor();
      await press(page, t.handBack);
      await page.getByText(t.takenOver).waitFor({ state: 'detached' });
      expect((await desk.api.handle({ chat_id: chat, text: 'Bot?' })).body.type).toBe('message');

      expect(await summaries()).toEqual(['The user is called Grace.']);
      await press(page, t.summarize);
      await seen(page, t.queued);
      await eventually(async () => expect(await summaries()).toHaveLength(2));
      await press(page, t.rebuild);
      await seen(page, t.rebuildAsks);
      await confirm(page);
      await eventually(async () => expect(await summaries()).toHaveLength(3));
      const basis = JSON.stringify(desk.model.requests.findLast(isSummary)?.body.messages);
      expect(basis).toContain('It rains today.');
      expect(basis).not.toContain('Grace');
      await page.locator('.desk-summary blockquote', { hasText: summaryText }).waitFor();
      await expectWell(page);

      await press(page, t.close);
      await confirm(page);
      await page.locator('em.closed').waitFor();
      await eventually(async () => {
        const waiting = await desk.sql.rows(
          `select id from chat_sessions where id = $1 and messages_since_summary > 0`,
          [session],
        );
        expect(waiting).toEqual([]);
      });

      const rows = await rowsOf(session);
      await press(page, t.forget);
      await seen(page, t.erases(rows));
      await confirm(page);
      await seen(page, t.erased(rows));
      expect(await rowsOf(session)).toBe(1);
      await expectWell(page);
    });

    test('an operator sees what is stuck or failed and has it tried again', async () => {
      const chat = `stuck-${language}`;
      // What neither the embeddings server nor, later, the model takes.
      const knot = `knot-${language}`;
      embeddings.poison = knot;
      const { body } = await desk.api.handle({ chat_id: chat, text: `Here is a ${knot}.` });
      for (const state of ['sending', 'uncertain']) {
        await desk.api.post(`/v1/deliveries/${body.reply_message_id}`, { state });
      }
      refused = knot;
      expect((await desk.api.handle({ chat_id: chat, text: `Untie the ${knot}!` })).status).toBe(
        502,
      );
      const page = await open('Operator', language);
      await goTo(page, `content/chat_sessions/${body.session_id}`);
      await press(page, t.summarize);
      await seen(page, t.summaryFailed);
      const failed = (table: string) =>
        desk.sql.rows(
          `select state from ${table} where session_id = $1 and state in ('pending', 'failed')`,
          [body.session_id],
        );
      await eventually(async () => {
        const states = new Set((await failed('embeddings')).map(({ state }) => state));
        expect(states).toEqual(new Set(['failed']));
      });
      [refused, embeddings.poison] = [undefined, undefined];

      await press(page, t.summarize);
      await page.locator('.desk-summary blockquote', { hasText: summaryText }).waitFor();
      await page.getByText(t.summaryFailed).waitFor({ state: 'detached' });
      await press(page, t.sendAgain);
      await eventually(async () => {
        const rows = await desk.sql.rows('select delivery_state from messages where id = $1', [
          body.reply_message_id,
        ]);
        expect(rows).toEqual([{ delivery_state: 'pending' }]);
      });

      const [turn] = await desk.sql.rows<{ id: string }>(
        `select id from turns where session_id = $1 and state = 'failed'`,
        [body.session_id],
      );
      await age('turns', turn?.id ?? '');
      await goTo(page, 'content/turns');
      await bookmark(page, t.failedTurns);
      await cell(page, `user of ${chat}`).waitFor();
      await expectTable(page, 'turns');
      await cell(page, `user of ${chat}`).click();
      await page.locator('.desk-warning').waitFor();
      await page.locator('.desk-card blockquote', { hasText: `Untie the ${knot}!` }).waitFor();
      await press(page, t.retry);
      await eventually(async () => expect(await failed('turns')).toEqual([]));

      await goTo(page, 'content/embeddings');
      await bookmark(page, t.notIndexed);
      const memory = page.locator('td', { hasText: knot }).first();
      await memory.waitFor();
      await expectTable(page, 'embeddings');
      await memory.click();
      await press(page, t.retryIndex);
      await eventually(async () => expect(await failed('embeddings')).toEqual([]));
      await expectWell(page);
    });

    test('an operator lets in, limits, blocks and forgets a user', async () => {
      const id = `person-${language}`;
      await desk.sql.rows(
        `insert into users (id, access, pairing_code) values ($1, 'pending', $1)`,
        [id],
      );
      const user = async (columns: string) =>
        (await desk.sql.rows(`select ${columns} from users where id = $1`, [id]))[0];
      const speak = () => desk.api.handle({ user_id: id, chat_id: id, text: 'May I?' });
      const page = await open('Operator', language);
      await goTo(page, 'content/users');
      await bookmark(page, t.asking);
      await cell(page, id).waitFor();
      await expectTable(page, 'users');
      await cell(page, id).click();
      await press(page, t.letIn);
      await eventually(async () => expect(await user('access')).toEqual({ access: 'approved' }));
      const { status, body } = await speak();
      expect(status).toBe(200);

      const numbers = page.locator('input[type=number]');
      await numbers.first().fill('7');
      await numbers.nth(1).fill('90000');
      await page.keyboard.press('Control+s');
      await eventually(async () =>
        expect(await user('rate_limit_per_minute, daily_token_budget')).toEqual({
          rate_limit_per_minute: 7,
          daily_token_budget: 90_000,
        }),
      );
      await press(page, t.block);
      await confirm(page);
      await eventually(async () => expect(await user('access')).toEqual({ access: 'blocked' }));
      expect(await speak()).toMatchObject({ status: 403, body: { code: 'access_denied' } });

      // That somebody is blocked is not forgotten.
      const rows = await rowsOf(body.session_id);
      await press(page, t.forgetUser);
      await seen(page, t.erases(rows));
      await confirm(page);
      await seen(page, t.erased(rows));
      await page.waitForURL(/\/content\/users$/);
      expect(await desk.sql.rows('select id from chat_sessions where user_id = $1', [id])).toEqual(
        [],
      );
      expect(await user('access')).toEqual({ access: 'blocked' });
      await expectWell(page);
    });

    test('an export has all rows that are filtered', async () => {
      const session = await say(`export-${language}`, 'Hello');
      await desk.sql.rows(
        `insert into messages (session_id, role, content)
           select $1, 'system', 'line ${language} ' || n from generate_series(1, 120) as n`,
        [session],
      );
      const page = await open('Viewer', language);
      await goTo(page, 'content/messages');
      await search(page, `line ${language}`);
      await page.locator('td', { hasText: 'I see.' }).first().waitFor({ state: 'detached' });
      await page
        .locator('td', { hasText: `line ${language}` })
        .first()
        .waitFor();
      const exported = async (format: string) => {
        const [download] = await Promise.all([page.waitForEvent('download'), press(page, format)]);
        expect(download.suggestedFilename()).toMatch(
          new RegExp(`^messages-.*\\.${format.toLowerCase()}$`),
        );
        return await readFile(await download.path(), 'utf8');
      };
      await expectTable(page, 'messages');
      const lines = (await exported('CSV')).trimEnd().split('\r\n');
      expect(lines).toHaveLength(121);
      const rows: { content: string }[] = JSON.parse(await exported('JSON'));
      expect(rows.map(({ content }) => content)).toEqual(
        Array.from({ length: 120 }, (_, n) => `line ${language} ${n + 1}`),
      );
    });

    test('a Viewer reads the same and is offered no deed', async () => {
      const session = await talk(`seen-${language}`);
      const page = await open('Viewer', language);
      await goTo(page, `content/chat_sessions/${session}`);
      await bubble(page, question).waitFor();
      await seen(page, t.readOnly);
      await page.getByText(t.why).last().click();
      await seen(page, t.window);
      for (const deed of [t.takeOver, t.summarize, t.rebuild, t.delete, t.forget, t.correct]) {
        expect(await page.locator('.desk-session').getByText(deed, { exact: true }).count()).toBe(
          0,
        );
      }
      expect(await page.locator('.desk-session select, .desk-session textarea').count()).toBe(0);
      await expectWell(page);
    });

    test('an Administrator may do the same, and finds the dashboards filled', async () => {
      const chat = `ruled-${language}`;
      const session = await talk(chat);
      const page = await open('Administrator', language);
      await goTo(page, `content/chat_sessions/${session}`);
      await press(page, t.takeOver);
      await seen(page, t.takenOver);
      const holders = await desk.sql.rows(
        `select u.email from chat_sessions s
           join directus.directus_users u on u.id::text = s.taken_over_by where s.id = $1`,
        [session],
      );
      expect(holders).toEqual([{ email: 'admin@example.com' }]);

      const dashboards = await desk
        .as('Administrator')
        .get<{ data: { id: string }[] }>('/dashboards');
      await goTo(page, 'content/conversation_summaries');
      await page.locator('td.cell').first().waitFor();
      await expectTable(page, 'conversation_summaries');
      for (const { id } of dashboards.body.data) {
        await goTo(page, `insights/${id}`);
        await page.locator('.v-workspace-tile .metric-text').first().waitFor();
        await expectWell(page);
      }
    });
  });

  test('with the backend gone the page says so, and can still be read', async () => {
    const session = await talk('lonely');
    const page = await open('Operator', 'en-US');
    await goTo(page, `content/chat_sessions/${session}`);
    await bubble(page, question).waitFor();
    await desk.stopBackend();
    await press(page, words['en-US'].takeOver);
    await seen(page, /The backend does not answer/);
    await page.reload();
    await bubble(page, question).waitFor();
    // Its own 502 is what this test is about.
    visitors.get('Operator')?.troubles.splice(0);
    await signOut();
  });
});
