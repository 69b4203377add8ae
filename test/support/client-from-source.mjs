// For `node --import`: examples then run on the library's source, without a build.
import { registerHooks } from 'node:module';

const ROOT = new URL('../../', import.meta.url);

function sourceOf(specifier) {
  if (specifier === '@latchkey/client') return new URL('src/client/client.ts', ROOT).href;
  return specifier.replace(
    /^@latchkey\/client\/proto\/(\w+)$/,
    (_, name) => new URL(`gen/latchkey/auth/v1/${name}_pb.ts`, ROOT).href,
  );
}

registerHooks({ resolve: (specifier, context, next) => next(sourceOf(specifier), context) });
