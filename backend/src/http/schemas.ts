import { z } from '@hono/zod-openapi';

/** PostgreSQL's text holds neither NUL nor half a surrogate pair; refusing them here says so clearly. */
const storableText = z
  .string()
  .refine((value) => !value.includes('\0'), 'must not contain NUL characters')
  .refine((value) => value.isWellFormed(), 'must be well-formed Unicode (no lone surrogates)');

const id = storableText.min(1, 'must not be empty').max(128, 'must be at most 128 characters');
const rowId = z
  .string()
  .regex(/^\d{1,18}$/, 'must be a decimal number')
  .openapi({ example: '42' });

const words = storableText
  .max(32_000, 'must be at most 32,000 characters')
  .refine((value) => value.trim() !== '', 'must not be empty');

export const HandleBody = z
  .object({
    user_id: id.openapi({ example: '12345' }),
    chat_id: id.openapi({ example: '67890' }),
    text: words.openapi({ example: 'My name is Ada.' }),
    message_id: id.optional().openapi({
      description: 'Makes the call idempotent within the chat.',
      example: 'm-1',
    }),
    channel: storableText.min(1).max(32).default('api').openapi({
      description: 'Kept on the session: whose outbox its replies go to.',
    }),
  })
  .openapi('HandleRequest');

const anyReply = z.object({
  session_id: z.uuid(),
  turn_id: z.string(),
  replayed: z.boolean().openapi({ description: 'True where no new model call was made.' }),
});

export const ReplyBody = z
  .discriminatedUnion('type', [
    anyReply
      .extend({
        type: z.literal('message'),
        text: z.string(),
        reply_message_id: z.string(),
        delivery: z.enum(['pending', 'sending', 'sent', 'uncertain', 'failed']),
      })
      .openapi('MessageReply'),
    anyReply
      .extend({
        type: z.literal('silence'),
        text: z.literal(''),
        reply_message_id: z.null(),
        delivery: z.null(),
      })
      .openapi('Silence', {
        description: 'An operator holds the chat: the message is kept, there is nothing to send.',
      }),
  ])
  .openapi('Reply');

export const ResetBody = z
  .object({ chat_id: id.optional(), session_id: z.uuid().optional() })
  .refine(
    (body) => (body.chat_id === undefined) !== (body.session_id === undefined),
    'needs either chat_id or session_id',
  )
  .openapi('ResetRequest');

export const CancelBody = z.object({ chat_id: id }).openapi('CancelRequest');

export const ForgetBody = z
  .object({ chat_id: id.optional(), user_id: id.optional() })
  .refine(
    (body) => (body.chat_id === undefined) !== (body.user_id === undefined),
    'needs either chat_id or user_id',
  )
  .openapi('ForgetRequest');

export const ApproveBody = z
  .object({ pairing_code: id.openapi({ example: 'K7PQ2MXW4T' }) })
  .openapi('ApproveRequest');

export const SearchBody = z
  .object({
    chat_id: id,
    query: words.openapi({ example: 'Where does Ada live?' }),
    limit: z.int().min(1).max(100).default(10),
  })
  .openapi('SearchRequest');

export const OperatorMessageBody = z
  .object({ text: words.openapi({ example: 'A person here. How can I help?' }) })
  .openapi('OperatorMessage');

export const ChatParams = z.object({ chat_id: id });
export const UserParams = z.object({ user_id: id });
export const SessionParams = z.object({ session_id: z.uuid() });
export const TurnParams = z.object({ turn_id: rowId });
export const MessageParams = z.object({ message_id: rowId });

export const MarkBody = z
  .object({
    state: z.enum(['pending', 'sending', 'sent', 'uncertain', 'failed']).openapi({
      description: '`pending` gives the message back to the outbox.',
    }),
    in_order: z.boolean().default(false).openapi({
      description:
        'With `sending`: refuse (409) while an earlier message of the chat waits to be sent; both are then offered at once.',
    }),
    channel_message_id: id.optional(),
    error: storableText.max(1_000).optional(),
  })
  .openapi('DeliveryMark');

export const DeliveriesQuery = z.object({
  channel: storableText.min(1).max(32).default('api'),
  wait: z.coerce.number().int().min(0).max(60).default(0).openapi({
    description: 'Seconds to wait for the first message.',
  }),
});

export const ProblemBody = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    request_id: z.string(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
    pairing_code: z.string().optional(),
    retry_after: z.int().optional().openapi({ description: 'Seconds' }),
  })
  .openapi('Problem', { description: 'RFC 9457' });
