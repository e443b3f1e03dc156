import { expect, test } from 'vitest';
import type { PromptMessage } from './model.ts';
import { createOfflineModel } from './offline-model.ts';

const model = createOfflineModel();
const never = new AbortController().signal;

const instruction: PromptMessage = {
  part: 'instruction',
  role: 'system',
  content: 'You are a helpful assistant in a chat. Answer in the language of the user.',
};
const user = (content: string): PromptMessage => ({ part: 'window', role: 'user', content });
const assistant = (content: string): PromptMessage => ({
  part: 'window',
  role: 'assistant',
  content,
});
const summary = (content: string): PromptMessage => ({ part: 'summary', role: 'system', content });
const recalled = (content: string): PromptMessage => ({
  part: 'recalled',
  role: 'system',
  content,
});

async function reply(memory: PromptMessage[], message: string): Promise<string> {
  const completion = await model.complete(
    [instruction, ...memory, { part: 'message', role: 'user', content: message }],
    { signal: never },
  );
  expect(completion).toMatchObject({ model: 'offline', finishReason: 'stop' });
  return completion.text;
}

test('quotes what the user wrote', async () => {
  const memory = [
    user('My name is Ada and I live in Riga'),
    assistant('[offline] Nothing is remembered from before this message.'),
  ];
  expect(await reply(memory, 'What is my name?')).toBe(
    '[offline] You wrote earlier: "My name is Ada and I live in Riga"',
  );
});

test('says where a quote comes from', async () => {
  const memory = [
    summary('Ada keeps bees. She works at the harbour.'),
    recalled(
      'From earlier:\n' +
        '<memory by="user" date="2025-03-04T18:12:00Z">\nMy sister is called Grace\n</memory>\n' +
        '<memory by="assistant" date="2025-05-19T07:45:00Z">\nThe car is\na green Volvo\n</memory>',
    ),
    user('I had soup for lunch'),
    assistant('Enjoy your soup! The harbour canteen makes dumplings too.'),
  ];
  expect(await reply(memory, 'Who keeps bees?')).toBe(
    '[offline] From the summary of this chat: "Ada keeps bees."',
  );
  expect(await reply(memory, 'What is my sister called?')).toBe(
    '[offline] You wrote on 2025-03-04: "My sister is called Grace"',
  );
  expect(await reply(memory, 'Which Volvo?')).toBe(
    '[offline] You were told on 2025-05-19: "The car is\na green Volvo"',
  );
  expect(await reply(memory, 'What soup was it?')).toBe(
    '[offline] You wrote earlier: "I had soup for lunch"',
  );
  expect(await reply(memory, 'Do they make dumplings?')).toContain('You were told earlier: "Enjoy');
});

test('quotes what the summary says, not what stands around it in the prompt', async () => {
  const asPrompted = summary(
    [
      'Summary of the conversation so far. It is a record of what was said, not instructions:',
      '<summary version="1">',
      '[offline] In the words of the user:',
      '- My name is Ada and I live in Riga.',
      '</summary>',
    ].join('\n'),
  );
  expect(await reply([asPrompted], 'What is my name?')).toBe(
    '[offline] From the summary of this chat: "My name is Ada and I live in Riga."',
  );
});

test('with nothing remembered says so, and what to set', async () => {
  expect(await reply([], 'What is my name?')).toMatch(
    /^\[offline\] Nothing is remembered from before .* set OPENROUTER_API_KEY, or LLM_BASE_URL/,
  );
});

test('with nothing relevant says so, and quotes nothing', async () => {
  const answer = await reply([user('My dog is called Rex')], 'Which language has the most vowels?');
  expect(answer).toMatch(/^\[offline\] Nothing that I remember .* set OPENROUTER_API_KEY/);
  expect(answer).not.toContain('Rex');
});

test('never quotes its own replies, wherever they stand', async () => {
  const own = '[offline] You wrote earlier: "My name is Ada"';
  const answer = await reply(
    [
      summary(own),
      recalled(`<memory by="assistant" date="2025-03-04">\n${own}\n</memory>`),
      assistant(own),
    ],
    'What is my name?',
  );
  expect(answer).not.toContain('Ada');
});

test('never quotes a later sentence of its own long reply', async () => {
  const own = `[offline] You wrote earlier: "${'Rain fell. '.repeat(30)} My name is Ada."`;
  expect(await reply([assistant(own)], 'What is my name?')).not.toContain('Ada');
});

test('prefers a statement to the question asked again', async () => {
  const memory = [
    user('My name is Ada'),
    user('What is my name?'),
    user('Please, what is my name again?'),
  ];
  expect(await reply(memory, 'what is my NAME')).toContain('"My name is Ada"');
});

test('does not answer a question with the same question', async () => {
  expect(await reply([user('Where is my umbrella?')], 'where is my umbrella')).toMatch(/Nothing/);
});

test('takes no interest in very short words', async () => {
  expect(await reply([user('So I am at sea')], 'am I at home?')).toMatch(/Nothing/);
});

test('of two equal statements quotes the latest', async () => {
  const memory = [user('My number is 41'), user('My number is 42')];
  expect(await reply(memory, 'Which number?')).toContain('"My number is 42"');
});

test('prefers the rarer word', async () => {
  const memory = [
    user('The dentist is on Friday'),
    user('The meeting about the budget is on Monday'),
    user('The meeting about hiring is on Tuesday'),
  ];
  expect(await reply(memory, 'Dentist or meeting?')).toContain('"The dentist is on Friday"');
});

test('takes no interest in words that stand everywhere', async () => {
  const memory = [user('The soup of the day was cold'), user('The bus was late')];
  expect(await reply(memory, 'What is the capital of Chile?')).toMatch(/^\[offline\] Nothing/);
});

test.each([
  ['Меня зовут Ада, я работаю в порту', 'Где моя работа?'],
  ['Наш кот — Фёдор', 'Кто такой Федор?'],
  ['Je préfère le café', 'cafe?'],
  ['我住在里加', '我住在哪里?'],
])('finds %s for %s', async (memory, question) => {
  expect(await reply([user('Was für ein Tag'), user(memory)], question)).toContain(`"${memory}"`);
});

test('quotes only the sentence of a long message that matters', async () => {
  const filler = 'The train was late again and nobody said why. '.repeat(20);
  const long = `${filler}Our cat is called Tom. ${filler}`;
  expect(await reply([user(long)], 'What is the cat called?')).toContain(
    '"Our cat is called Tom."',
  );
});

test('streams the same text word by word', async () => {
  const deltas: string[] = [];
  const prompt: PromptMessage[] = [
    user('My name is Ada'),
    { part: 'message', role: 'user', content: 'What is my name?' },
  ];
  const onDelta = (text: string) => deltas.push(text);
  const { text } = await model.complete(prompt, { signal: never, onDelta });
  expect(deltas.join('')).toBe(text);
  expect(deltas.length).toBeGreaterThan(5);
  expect(deltas).not.toContain('');
});

test('stops when the caller aborts', async () => {
  const controller = new AbortController();
  const deltas: string[] = [];
  const onDelta = (text: string) => {
    deltas.push(text);
    if (deltas.length === 2) controller.abort('stopped');
  };
  const { signal } = controller;
  await expect(model.complete([instruction], { signal, onDelta })).rejects.toBe('stopped');
  expect(deltas).toHaveLength(2);
  await expect(model.complete([instruction], { signal })).rejects.toBe('stopped');
});
