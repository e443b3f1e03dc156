import { errorCodes } from '#src/errors.ts';
import type { ErrorCode } from '#src/errors.ts';
import { z } from '@hono/zod-openapi';
import { ProblemBody } from './schemas.ts';

/** What any call may answer; the guards stand before all of them. */
const always: ErrorCode[] = [
  'malformed_request',
  'unauthorized',
  'host_not_allowed',
  'operator_not_allowed',
  'internal_error',
  'database_unavailable',
];
const withBody: ErrorCode[] = ['malformed_json', 'body_too_large', 'unsupported_media_type'];

/** The documented problems of a route, by status. */
export function problems(codes: ErrorCode[], options: { body: boolean }) {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of [...always, ...(options.body ? withBody : []), ...codes]) {
    const { status } = errorCodes[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, statusCodes]) => [
      status,
      {
        description: statusCodes.map((code) => `\`${code}\`: ${errorCodes[code].title}`).join('; '),
        content: { 'application/problem+json': { schema: ProblemBody } },
      },
    ]),
  );
}

export function json<Schema extends z.ZodType>(schema: Schema, description: string) {
  return { description, content: { 'application/json': { schema } } };
}

/** Bodies are checked the synchronous way, which zod compiles: nothing in ours waits for anything. */
export function jsonBody<Schema extends z.ZodType>(body: Schema) {
  const schema = z.compile(body);
  schema.safeParseAsync = async (value, params) => schema.safeParse(value, params);
  return { required: true, content: { 'application/json': { schema } } };
}
