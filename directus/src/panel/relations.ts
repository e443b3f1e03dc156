const relation = (collection: string, field: string, one_field: string | null = null) => ({
  collection,
  field,
  meta: { one_field, one_deselect_action: 'nullify' },
});

/** The backend's own foreign keys, with the list that shows them from the other side. */
export const relations = [
  relation('messages', 'session_id'),
  relation('conversation_summaries', 'session_id', 'summaries'),
  relation('turns', 'session_id', 'turns'),
  relation('embeddings', 'session_id', 'memories'),
  relation('embeddings', 'message_id'),
];
