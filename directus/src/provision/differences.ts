export type Row = Record<string, unknown>;

/** The keys of `want` that `have` does not already say. Objects are compared as subsets, lists whole. */
export function differences(have: Row | null | undefined, want: Row): Row {
  return Object.fromEntries(
    Object.entries(want).filter(([key, value]) => !says(have?.[key], value)),
  );
}

function says(have: unknown, want: unknown): boolean {
  if (want === null || want === undefined) return have === null || have === undefined;
  if (Array.isArray(want)) {
    return (
      Array.isArray(have) &&
      have.length === want.length &&
      want.every((value, index) => says(have[index], value))
    );
  }
  if (typeof want === 'object') {
    return (
      typeof have === 'object' &&
      have !== null &&
      Object.entries(want).every(([key, value]) => says(Object(have)[key], value))
    );
  }
  // Numbers come back as strings where the column is a bigint or a decimal.
  return have === want || (typeof want === 'number' && Number(have) === want);
}

/** Of a row that Directus numbers itself. */
export function idOf({ id }: Row): number {
  return Number(id);
}
