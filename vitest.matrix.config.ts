// `npm run matrix`, `npm run test:clients` and `npm run test:otlp`, which are no part of `npm test`: they install the libraries of several
// languages.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/matrix/every-library.ts', 'test/clients/every-client.ts', 'test/telemetry/every-otlp-name.ts'],
    globalSetup: 'test/support/global-setup.ts',
    hookTimeout: 60_000,
  },
});
