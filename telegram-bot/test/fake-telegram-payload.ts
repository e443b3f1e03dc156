import type { IncomingMessage } from 'node:http';
import type { MessageEntity } from 'grammy/types';

/** What a call carries, as far as the fake looks at it. */
export interface Payload {
  chat_id?: number | string;
  message_id?: number;
  message_thread_id?: number;
  text?: string;
  caption?: string;
  document?: string;
  entities?: MessageEntity[];
  offset?: number;
  limit?: number;
  timeout?: number;
  user_id?: number;
  reply_markup?: { inline_keyboard: { callback_data: string }[][] };
  [field: string]: unknown;
}

/** The body of a call: JSON, or a form with a file in it, whose text is then the `document`. */
export async function readPayload(req: IncomingMessage): Promise<Payload> {
  let text = '';
  for await (const part of req.setEncoding('utf8')) text += String(part);
  const boundary = /boundary=(.+)$/.exec(req.headers['content-type'] ?? '')?.[1];
  if (boundary === undefined) return text === '' ? {} : JSON.parse(text);
  const payload: Payload = {};
  for (const part of text.split(`--${boundary}`)) {
    const [head = '', ...rest] = part.split('\r\n\r\n');
    const name = /name="([^"]+)"/.exec(head)?.[1];
    const value = rest.join('\r\n\r\n').replace(/\r\n$/, '');
    if (head.includes('filename=')) payload.document = value;
    else if (name !== undefined && name !== 'document') payload[name] = value;
  }
  return payload;
}

/** What Telegram would refuse of a text, in the words it uses. */
export function checkMessage({ text = '', entities = [] }: Payload): string | undefined {
  if (text.trim() === '') return 'message text is empty';
  if (text.length > 4096) return 'message is too long';
  const outside = entities.some(
    ({ offset, length }) => offset < 0 || length <= 0 || offset + length > text.length,
  );
  return outside ? "can't parse entities: out of range" : undefined;
}
