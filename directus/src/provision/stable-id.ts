import { createHash } from 'node:crypto';

/** What is ours begins so; whatever else stands there is the operators' own. */
const mark = 'de5c0000';

/** The same id for the same name in every installation. */
export function stableId(name: string): string {
  const hash = createHash('sha256').update(name).digest('hex');
  return `${mark}-${hash.slice(0, 4)}-5${hash.slice(4, 7)}-a${hash.slice(7, 10)}-${hash.slice(10, 22)}`;
}

export function isOurs(id: unknown): id is string {
  return typeof id === 'string' && id.startsWith(`${mark}-`);
}
