import { Pool } from 'undici';
import type { Turn } from './load-process.ts';
import { sentence } from './sentences.ts';

/** A turn as a channel makes it: with a key and a message id of its own. */
export function createHttpTurn(url: string, apiKey: string, connections: number): Turn {
  const pool = new Pool(url, { connections, pipelining: 1 });
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' };
  return {
    async make(chatId, n) {
      const { statusCode, body } = await pool.request({
        method: 'POST',
        path: '/v1/chat/handle',
        headers,
        body: JSON.stringify({
          chat_id: chatId,
          user_id: chatId,
          text: sentence(n),
          message_id: `m-${n}`,
          channel: 'bench',
        }),
      });
      const text = await body.text();
      if (statusCode !== 200) throw new Error(`HTTP ${statusCode}: ${text}`);
    },
    close: () => pool.close(),
  };
}
