import { Pool } from 'undici';
import { requestWhole } from '#src/clients/whole-response.ts';
import type { Turn } from './load-process.ts';
import { sentence } from './sentences.ts';

/** A turn as a channel makes it: with a key and a message id of its own. */
export function createHttpTurn(url: string, apiKey: string, connections: number): Turn {
  const pool = new Pool(url, { connections, pipelining: 1 });
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' };
  const { signal } = new AbortController();
  return {
    async make(chatId, n) {
      const body = JSON.stringify({
        chat_id: chatId,
        user_id: chatId,
        text: sentence(n),
        message_id: `m-${n}`,
        channel: 'bench',
      });
      const { statusCode, text, failure } = await requestWhole(
        pool,
        { method: 'POST', path: '/v1/chat/handle', headers, body },
        signal,
      );
      if (statusCode !== 200 || failure) throw new Error(`HTTP ${statusCode}: ${text}`);
    },
    close: () => pool.close(),
  };
}
