import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{backend,telegram-bot,directus}/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 120_000,
  },
});
