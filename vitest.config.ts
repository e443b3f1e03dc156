import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{backend,telegram-bot,directus}/**/*.test.ts'],
    globalSetup: 'backend/test/postgres-global-setup.ts',
    testTimeout: 30_000,
    hookTimeout: 120_000,
  },
});
