// `npm run test:runbook`, which is no part of `npm test`: each incident takes up to a minute.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/runbook/every-incident.ts'],
    globalSetup: 'test/support/global-setup.ts',
    hookTimeout: 60_000,
  },
});
