// The documents that verifiers and OAuth clients read: the JWKS (RFC 7517), and the metadata of the issuer, which
// OpenID Connect Discovery 1.0 and RFC 8414 define alike.
import { ACRS } from '../../domain/acr.ts';
import type { KeyPolicy } from '../../domain/key-schedule.ts';
import { SIGNING_ALGORITHMS, signingAlgorithmOf } from '../../domain/signing-algorithm.ts';
import type { SigningKeys } from '../../keys/signing-keys.ts';
import { createGetHandler, type GetRoutes } from '../endpoints/get-routes.ts';
import { type Handler, sendJson } from '../transport/handler.ts';
import type { ServerResponse } from '../transport/server-response.ts';
import {
  INTROSPECTION_PATH,
  JWKS_PATH,
  metadataPaths,
  REVOCATION_PATH,
  TOKEN_PATH,
  withIssuerPath,
} from './oauth-paths.ts';

type MetadataDeps = {
  signingKeys: Pick<SigningKeys, 'jwks' | 'areCurrent'>;
  issuer: string;
  policy: Pick<KeyPolicy, 'publishMs'>;
};

const MAX_AGE_SECONDS = 300;
const CLIENT_SECRET = ['client_secret_basic', 'client_secret_post'];

export function createMetadataHandler({ signingKeys, issuer, policy }: MetadataDeps): Handler {
  // A client that respects this age receives each new key within half of the time before the key signs.
  const maxAge = Math.min(MAX_AGE_SECONDS, Math.floor(policy.publishMs / 2000));

  async function sendJwks(response: ServerResponse, query: URLSearchParams): Promise<void> {
    const algorithms = query.getAll('alg').map(signingAlgorithmOf);
    if (!algorithms.every((algorithm) => algorithm !== null)) {
      return sendJson(response, 400, { error: `alg must be one of ${SIGNING_ALGORITHMS.join(', ')}` });
    }
    // Serves stale keys rather than none, but forbids caching them.
    const isCurrent = await signingKeys.areCurrent();
    sendJson(response, 200, signingKeys.jwks(algorithms), isCurrent ? `public, max-age=${maxAge}` : 'no-store');
  }

  function sendMetadata(response: ServerResponse): void {
    sendJson(response, 200, metadataOf(issuer, signingKeys), `public, max-age=${MAX_AGE_SECONDS}`);
  }

  const routes: GetRoutes = new Map();
  for (const path of withIssuerPath(JWKS_PATH, issuer))
    routes.set(path, (response, query) => void sendJwks(response, query));
  for (const path of metadataPaths(issuer)) routes.set(path, sendMetadata);
  return createGetHandler(routes);
}

function metadataOf(issuer: string, signingKeys: Pick<SigningKeys, 'jwks'>) {
  const signing = signingKeys.jwks([]).keys.flatMap(({ alg }) => alg ?? []);
  return {
    issuer,
    jwks_uri: `${issuer}${JWKS_PATH}`,
    token_endpoint: `${issuer}${TOKEN_PATH}`,
    token_endpoint_auth_methods_supported: CLIENT_SECRET,
    introspection_endpoint: `${issuer}${INTROSPECTION_PATH}`,
    // RFC 8414 section 2 allows the types of access tokens here.
    introspection_endpoint_auth_methods_supported: [...CLIENT_SECRET, 'Bearer'],
    revocation_endpoint: `${issuer}${REVOCATION_PATH}`,
    revocation_endpoint_auth_methods_supported: CLIENT_SECRET,
    grant_types_supported: ['client_credentials'],
    response_types_supported: [],
    // OpenID Connect Discovery 1.0 section 3; for resource servers, RFC 9470 section 7.
    acr_values_supported: ACRS,
    subject_types_supported: ['public'],
    // Verifiers that read the metadata once must accept the next algorithm too. The one in use is the first.
    id_token_signing_alg_values_supported: [...new Set([...signing, ...SIGNING_ALGORITHMS])],
  };
}
