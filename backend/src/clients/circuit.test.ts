import { expect, test } from 'vitest';
import { AppError } from '#src/errors.ts';
import { withCircuit } from './circuit.ts';
import type { Completion } from './model.ts';

async function fail(): Promise<Completion> {
  throw new AppError('model_failed', 'dead');
}

function createCircuit(options = { failures: 2, pauseMs: 30 }) {
  let calls = 0;
  let answer = fail;
  const model = {
    name: 'fake',
    close: async () => {},
    complete: () => {
      calls += 1;
      return answer();
    },
  };
  const circuit = withCircuit(model, options);
  const ask = async (signal = new AbortController().signal) =>
    circuit.complete([], { signal }).then(
      () => 'answered',
      (error: unknown) => (error instanceof AppError ? error.code : error),
    );
  return {
    ask,
    calls: () => calls,
    repair: () => (answer = async () => ({ text: 'ok', model: 'fake', finishReason: 'stop' })),
  };
}

const afterThePause = () =>
  new Promise((resolve) => {
    setTimeout(resolve, 40);
  });

test('a model that keeps failing is left alone, and taken up again once it answers', async () => {
  const { ask, calls, repair } = createCircuit();
  expect([await ask(), await ask(), await ask(), await ask()]).toEqual([
    'model_failed',
    'model_failed',
    'model_paused',
    'model_paused',
  ]);
  expect(calls()).toBe(2);

  await afterThePause();
  expect(await Promise.all([ask(), ask(), ask()])).toEqual([
    'model_failed',
    'model_paused',
    'model_paused',
  ]);
  expect(calls()).toBe(3);

  await afterThePause();
  repair();
  expect(await ask()).toBe('answered');
  expect(await Promise.all([ask(), ask()])).toEqual(['answered', 'answered']);
});

test('a caller that gives up is no failure of the model', async () => {
  const { ask } = createCircuit();
  const aborted = AbortSignal.abort();
  await ask(aborted);
  await ask(aborted);
  expect(await ask()).toBe('model_failed');
});
