// `npm run matrix` and `npm run test:clients`, which are no part of `npm test`: they install the libraries of several
// languages.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/matrix/every-library.ts', 'test/clients/every-client.ts'],
    globalSetup: 'test/support/global-setup.ts',
    hookTimeout: 60_000,
  },
});
