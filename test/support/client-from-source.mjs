// For `node --import`: examples then run on the library's source, without a build.
import { registerHooks } from 'node:module';

const SOURCE = new URL('../../src/client/client.ts', import.meta.url).href;

registerHooks({
  resolve: (specifier, context, next) => next(specifier === '@latchkey/client' ? SOURCE : specifier, context),
});
