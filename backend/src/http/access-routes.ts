import { createRoute, z } from '@hono/zod-openapi';
import type { OpenAPIHono } from '@hono/zod-openapi';
import { approveAccess } from '#src/chat/approve-access.ts';
import type { Chat } from '#src/chat/chat.ts';
import type { HttpEnv } from './env.ts';
import { json, jsonBody, problems } from './responses.ts';
import { ApproveBody } from './schemas.ts';

export function addAccessRoutes(app: OpenAPIHono<HttpEnv>, chat: Chat): void {
  app.openapi(approveRoute, async (c) => {
    const { userId } = await approveAccess(chat.db, c.req.valid('json').pairing_code);
    return c.json({ status: 'ok' as const, user_id: userId }, 200);
  });
}

const approveRoute = createRoute({
  method: 'post',
  path: '/v1/access/approve',
  summary: 'Let in the user who was given a pairing code',
  request: { body: jsonBody(ApproveBody) },
  responses: {
    200: json(z.object({ status: z.literal('ok'), user_id: z.string() }), 'Who may speak now'),
    ...problems(['validation_failed', 'not_found'], { body: true }),
  },
});
