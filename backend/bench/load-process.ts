import { connect } from '#src/db/connect.ts';
import { createFloorTurn } from './floor.ts';
import { createHttpTurn } from './http-turn.ts';
import { createStatementsTurn } from './statements-turn.ts';

/** What the load generator is told to do: `turns` turns, `concurrency` at once, over `chats` chats in turn, which are called `prefix 0` and so on. */
export interface LoadOrder {
  target:
    | { kind: 'http'; url: string; apiKey: string }
    | { kind: 'floor' | 'statements'; databaseUrl: string; recall: boolean };
  concurrency: number;
  turns: number;
  chats: number;
  prefix: string;
  /** Of the first turn; no number is used twice. */
  from: number;
}

/** Times in milliseconds, in the order of completion. */
export interface LoadResult {
  seconds: number;
  times: number[];
  failure?: string;
}

/** One way of making a turn: number `n`, in the given chat. */
export interface Turn {
  make: (chatId: string, n: number) => Promise<void>;
  close: () => Promise<void>;
}

/** As many connections as the API has. */
const CONNECTIONS = 16;

process.on('message', (order: LoadOrder) => {
  void run(order)
    .catch((error: unknown) => ({ seconds: 0, times: [], failure: String(error) }))
    .then((result: LoadResult) => process.send?.(result));
});

async function run(order: LoadOrder): Promise<LoadResult> {
  const turn = createTurn(order);
  const times: number[] = [];
  let started = 0;
  const startedAt = performance.now();
  const worker = async () => {
    while (started < order.turns) {
      const n = order.from + started;
      started += 1;
      const begunAt = performance.now();
      await turn.make(`${order.prefix} ${n % order.chats}`, n);
      times.push(performance.now() - begunAt);
    }
  };
  try {
    await Promise.all(Array.from({ length: order.concurrency }, worker));
    return { seconds: (performance.now() - startedAt) / 1_000, times };
  } finally {
    await turn.close();
  }
}

function createTurn({ target, concurrency }: LoadOrder): Turn {
  if (target.kind === 'http') return createHttpTurn(target.url, target.apiKey);
  const connection = connect(target.databaseUrl, { max: Math.min(concurrency, CONNECTIONS) });
  return target.kind === 'floor'
    ? createFloorTurn(connection)
    : createStatementsTurn(connection, target.recall);
}
