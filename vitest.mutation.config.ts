import { defineConfig } from 'vitest/config';

// `npm run mutate`: the unit tests of the code that it changes, which need no set-up.
export default defineConfig({
  test: { include: ['test/{domain,verifier,limits,auth}/**/*.unit.test.ts'], testTimeout: 30_000, isolate: false },
});
