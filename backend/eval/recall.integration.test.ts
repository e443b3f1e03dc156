import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect } from '#src/db/connect.ts';
import type { Connection } from '#src/db/connect.ts';
import { createTestDatabase } from '#test/database.ts';
import { parseDialogues } from './dialogues.ts';
import samples from './dialogues.json' with { type: 'json' };
import { askQuestions, recallAt, silence, storeDialogues } from './evaluate-recall.ts';
import type { Asked } from './evaluate-recall.ts';

const dialogues = parseDialogues(samples);
let connection: Connection;
let asked: Asked[];

beforeAll(async () => {
  connection = connect((await createTestDatabase()).url, { max: 1 });
  const stored = await storeDialogues(connection.db, dialogues);
  asked = await askQuestions(connection.db, dialogues, stored, { limit: 20 });
});

afterAll(() => connection.close());

const answerable = (english: boolean) =>
  asked.filter((question, index) => {
    const text = dialogues.flatMap(({ questions }) => questions)[index]?.text ?? '';
    return question.answerable && /[а-я]/i.test(text) !== english;
  });

test('the dataset is as large as it says', () => {
  expect(dialogues.length).toBeGreaterThanOrEqual(20);
  expect(asked.length).toBeGreaterThanOrEqual(200);
});

test('English: four fifths of the evidence is among the first ten', () => {
  expect(recallAt(answerable(true), 10)).toBeGreaterThanOrEqual(0.8);
});

test('Russian: four fifths of the evidence is among the first ten', () => {
  expect(recallAt(answerable(false), 10)).toBeGreaterThanOrEqual(0.8);
});

test('seven in ten questions without an answer bring nothing', () => {
  const unanswerable = asked.filter((question) => !question.answerable);
  expect(silence(unanswerable)).toBeGreaterThanOrEqual(0.7);
});

test('LoCoMo writes evidence, dates and pictures in several ways', () => {
  const [dialogue] = parseDialogues([
    {
      conversation: {
        speaker_a: 'Ann',
        session_2_date_time: '1:56 pm on 8 May, 2023',
        session_2: [{ dia_id: 'D2:1', speaker: 'Bo', text: 'Look', blip_caption: 'a cat' }],
        session_2_summary: 'not a session',
      },
      qa: [{ question: 'Q', category: 1, evidence: ['D2:1; D:3:04', 'D2:1'] }],
    },
  ]);
  expect(dialogue?.lines).toEqual([
    {
      session: 2,
      place: '2:1',
      firstSpeaker: false,
      text: 'Bo: Look [picture: a cat]',
      date: new Date('8 May, 2023 1:56 pm'),
    },
  ]);
  expect(dialogue?.questions[0]?.evidence).toEqual(['2:1', '3:4']);
});
