/** Placeholder until the migrations arrive. */
export async function migrateToLatest(_databaseUrl: string): Promise<void> {}
