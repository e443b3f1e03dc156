import { z } from 'zod';

/**
 * Of Qdrant's OpenAPI document (1.19) what we send, and not a field more: whatever else is sent is
 * refused, also where Qdrant would take it.
 */
const PointId = z.int().nonnegative();

export const CollectionName = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[^<>:"/\\|?*\p{Cc}]+$/u);

export const CreateCollection = z.strictObject({
  vectors: z.strictObject({
    size: z.int().min(1).max(65_536),
    distance: z.enum(['Cosine', 'Euclid', 'Dot', 'Manhattan']),
  }),
});

export const CreateFieldIndex = z.strictObject({
  field_name: z.string(),
  field_schema: z.strictObject({ type: z.literal('keyword'), is_tenant: z.boolean() }),
});

const FieldCondition = z.strictObject({
  key: z.string(),
  match: z.strictObject({ value: z.string() }),
});

export type Filter = z.infer<typeof Filter>;
const Filter = z.strictObject({
  must: z.array(FieldCondition).min(1).optional(),
  should: z.array(FieldCondition).min(1).optional(),
});

export const PointsList = z.strictObject({
  points: z
    .array(
      z.strictObject({
        id: PointId,
        vector: z.array(z.number()).min(1),
        payload: z.record(z.string(), z.unknown()),
      }),
    )
    .min(1),
});

export const PointIdsList = z.strictObject({ points: z.array(PointId).min(1) });

export const QueryRequest = z.strictObject({
  query: z.array(z.number()).min(1),
  filter: Filter,
  limit: z.int().min(1),
  score_threshold: z.number(),
  with_payload: z.array(z.string()),
});

export const ScrollRequest = z.strictObject({
  offset: PointId,
  limit: z.int().min(1),
  with_payload: z.array(z.string()),
  with_vector: z.literal(false),
});
