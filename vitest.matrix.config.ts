// `npm run matrix`, which is no part of `npm test`: it installs the libraries of five languages.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/matrix/every-library.ts'],
    globalSetup: 'test/support/global-setup.ts',
    hookTimeout: 60_000,
  },
});
