import { openConnection, withLength } from './bare-http.ts';
import type { BareConnection } from './bare-http.ts';
import type { Turn } from './load-process.ts';
import { sentence } from './sentences.ts';

/** A turn as a channel makes it: with a key and a message id of its own. */
export function createHttpTurn(url: string, apiKey: string): Turn {
  const head = [
    'POST /v1/chat/handle HTTP/1.1',
    `host: ${new URL(url).host}`,
    `authorization: Bearer ${apiKey}`,
    'content-type: application/json',
  ].join('\r\n');
  const connections: BareConnection[] = [];
  const idle: BareConnection[] = [];
  const open = () => {
    const connection = openConnection(url);
    connections.push(connection);
    return connection;
  };
  return {
    async make(chatId, n) {
      const body = JSON.stringify({
        chat_id: chatId,
        user_id: chatId,
        text: sentence(n),
        message_id: `m-${n}`,
        channel: 'bench',
      });
      const connection = idle.pop() ?? open();
      const answer = await connection.ask(withLength(head, body));
      if (!answer.head.startsWith('HTTP/1.1 200 ')) throw new Error(answer.head + answer.body);
      idle.push(connection);
    },
    async close() {
      for (const connection of connections) connection.close();
    },
  };
}
