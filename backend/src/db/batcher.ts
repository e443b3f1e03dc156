/** Who takes longer waits for a lock or a slow disk, and keeps the others waiting no more. */
const LONGEST_WAIT_MS = 50;
const MAX_BATCH = 32;

/** A statement for one input, and its twin for many. */
export interface Batchable<Input, Output> {
  one: (input: Input) => Promise<Output>;
  /** All of them or none; outputs in the order of the inputs. */
  many: (inputs: Input[]) => Promise<Output[]>;
  /** True where a failed `many` is known to have left nothing behind. */
  isUndone: (error: unknown) => boolean;
}

export interface Batcher<Input, Output> {
  send: (input: Input) => Promise<Output>;
  /** Inputs that have not gone out yet. */
  countWaiting: () => number;
}

/**
 * Natural batching. An input that finds no statement under way goes out alone and at once. What
 * comes meanwhile waits for its end, and goes out together as one statement and one commit. Where
 * that fails each is tried alone, so that none suffers from another.
 */
export function createBatcher<Input, Output>({
  one,
  many,
  isUndone,
}: Batchable<Input, Output>): Batcher<Input, Output> {
  const waiting: Entry<Input, Output>[] = [];
  /** Sends the next, once; undefined where no statement is under way. */
  let goOn: (() => void) | undefined;
  let sentAt = 0;
  let patience: NodeJS.Timeout | undefined;

  async function sendEach(entries: Entry<Input, Output>[]): Promise<void> {
    await Promise.all(
      entries.map(({ input, resolve, reject }) => one(input).then(resolve, reject)),
    );
  }

  async function sendTogether(entries: Entry<Input, Output>[]): Promise<void> {
    try {
      const outputs = await many(entries.map(({ input }) => input));
      entries.forEach(({ resolve, reject }, place) => {
        const output = outputs[place];
        if (output === undefined) reject(new Error('a batch left an input without its output'));
        else resolve(output);
      });
    } catch (error) {
      if (isUndone(error)) return await sendEach(entries);
      for (const { reject } of entries) reject(error);
    }
  }

  function sendNext(): void {
    clearTimeout(patience);
    patience = undefined;
    const entries = waiting.splice(0, MAX_BATCH);
    if (entries.length === 0) {
      goOn = undefined;
      return;
    }
    const goOnOnce = () => {
      if (goOn === goOnOnce) sendNext();
    };
    goOn = goOnOnce;
    sentAt = performance.now();
    if (waiting.length > 0) patience = setTimeout(goOn, LONGEST_WAIT_MS);
    void (entries.length === 1 ? sendEach(entries) : sendTogether(entries)).then(goOn);
  }

  return {
    send: (input) =>
      new Promise((resolve, reject) => {
        waiting.push({ input, resolve, reject });
        if (goOn === undefined) sendNext();
        else patience ??= setTimeout(goOn, sentAt + LONGEST_WAIT_MS - performance.now());
      }),
    countWaiting: () => waiting.length,
  };
}

interface Entry<Input, Output> {
  input: Input;
  resolve: (output: Output) => void;
  reject: (error: unknown) => void;
}
