import { Pool } from 'undici';

/** Opens `count` streamed turns, each in a chat of its own, and holds them; answers when all are accepted. */
export interface StreamsOrder {
  url: string;
  apiKey: string;
  count: number;
  /** Of the first chat. */
  from: number;
}

const OPENED_AT_ONCE = 32;

process.on('message', (order: StreamsOrder) => {
  void open(order).then(
    () => process.send?.(null),
    (error: unknown) => process.send?.(String(error)),
  );
});

async function open({ url, apiKey, count, from }: StreamsOrder): Promise<void> {
  const pool = new Pool(url, { connections: count, pipelining: 1, bodyTimeout: 0 });
  let opened = 0;
  const worker = async () => {
    while (opened < count) {
      const chat = `stream ${from + opened}`;
      opened += 1;
      const { statusCode, body } = await pool.request({
        method: 'POST',
        path: '/v1/chat/handle',
        headers: {
          authorization: `Bearer ${apiKey}`,
          'content-type': 'application/json',
          accept: 'text/event-stream',
        },
        body: JSON.stringify({ chat_id: chat, user_id: chat, text: 'A long answer, please.' }),
      });
      body.on('data', () => {}).on('error', () => {});
      if (statusCode !== 200) throw new Error(`a stream was refused with ${statusCode}`);
    }
  };
  await Promise.all(Array.from({ length: OPENED_AT_ONCE }, worker));
}
