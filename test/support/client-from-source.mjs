// Lets an example import the client library from its source, so that a test need not build it.
import { registerHooks } from 'node:module';

const SOURCE = new URL('../../src/client/client.ts', import.meta.url).href;

registerHooks({
  resolve: (specifier, context, next) => next(specifier === '@latchkey/client' ? SOURCE : specifier, context),
});
