import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { sentence } from './sentences.ts';

/**
 * `callers` who each send the next message as soon as the last is answered, for `seconds`; who is
 * refused comes back when Retry-After says.
 */
export interface OverloadOrder {
  url: string;
  apiKey: string;
  callers: number;
  seconds: number;
}

export interface OverloadResult {
  /** Milliseconds of the answered calls. */
  accepted: number[];
  refused: number;
  /** Neither answered nor refused politely: no connection, no 429, or one without Retry-After. */
  other: number;
  failure?: string;
}

process.on('message', (order: OverloadOrder) => {
  void run(order)
    .catch((error: unknown) => ({ accepted: [], refused: 0, other: 0, failure: String(error) }))
    .then((result: OverloadResult) => process.send?.(result));
});

async function run(order: OverloadOrder): Promise<OverloadResult> {
  const pool = new Pool(order.url, { connections: order.callers, pipelining: 1 });
  const headers = {
    authorization: `Bearer ${order.apiKey}`,
    'content-type': 'application/json',
  };
  const result: OverloadResult = { accepted: [], refused: 0, other: 0 };
  const end = performance.now() + order.seconds * 1_000;
  /** Resolves with the milliseconds to wait. */
  async function call(chat: string, n: number): Promise<number> {
    const startedAt = performance.now();
    const body = { chat_id: chat, user_id: chat, text: sentence(n), channel: 'bench' };
    const response = await pool.request({
      method: 'POST',
      path: '/v1/chat/handle',
      headers,
      body: JSON.stringify(body),
    });
    await response.body.dump();
    const wait = Number(response.headers['retry-after'] ?? 0) * 1_000;
    if (response.statusCode === 200) result.accepted.push(performance.now() - startedAt);
    else if (response.statusCode === 429 && wait > 0) result.refused += 1;
    else result.other += 1;
    return response.statusCode === 200 ? 0 : wait;
  }
  async function caller(_: unknown, index: number): Promise<void> {
    // Not all in the same millisecond.
    await sleep((index * 1_000) / order.callers);
    for (let n = index; performance.now() < end; n += order.callers) {
      const wait = await call(`${order.callers} callers ${index}`, n).catch(() => {
        result.other += 1;
        return 1_000;
      });
      await sleep(wait);
    }
  }
  await Promise.all(Array.from({ length: order.callers }, caller));
  await pool.close();
  return result;
}
