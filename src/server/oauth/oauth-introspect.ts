// Token introspection (RFC 7662), for services. Answers from memory, as Verify does.
import {
  type Insufficient,
  type Introspected,
  type IntrospectTokenInput,
  introspectToken,
} from '../../auth/introspect-token.ts';
import type { Deps } from '../../deps.ts';
import { ERROR_REASONS } from '../../domain/error-reason.ts';
import { InvalidValue } from '../../domain/parse-fields.ts';
import { parseAcrText, parseMaxAgeText, requiredStrength, stepUpParameters } from '../../domain/required-strength.ts';
import type { Handler } from '../transport/handler.ts';
import { authenticateClient } from './authenticate-client.ts';
import { INTROSPECTION_SCHEMES } from './client-credentials.ts';
import { createOAuthEndpoint, type OAuthEndpointDeps } from './oauth-endpoint.ts';
import type { OAuthForm } from './oauth-form.ts';
import { INTROSPECTION_PATH } from './oauth-paths.ts';
import { OAuthRejection } from './oauth-rejection.ts';

type IntrospectionDeps = Parameters<typeof introspectToken>[0] & Pick<Deps, 'tokenSettings'>;

/** The same for every token that is invalid, so that the answer reveals nothing about it. */
const INACTIVE = { active: false };

export function createIntrospectionHandler(deps: IntrospectionDeps & OAuthEndpointDeps): Handler {
  return createOAuthEndpoint(deps, {
    path: INTROSPECTION_PATH,
    issuer: deps.tokenSettings.issuer,
    schemes: INTROSPECTION_SCHEMES,
    async answer({ form, credentials, record, call }) {
      record.principal = await authenticateClient(deps, record, credentials, call.signal);
      return introspectionBody(await introspectToken(deps, readIntrospection(form), call));
    },
  });
}

/**
 * The kind of a token shows in its text. A hint is therefore not used.
 * @throws OAuthRejection also for an empty strength: a route with one must not become a route without
 */
export function readIntrospection(form: OAuthForm): IntrospectTokenInput {
  const token = form.required('token');
  return {
    token,
    strength: requiredStrength(parsed(form, 'acr', parseAcrText), parsed(form, 'max_age', parseMaxAgeText)),
  };
}

function parsed<T>(form: OAuthForm, name: string, parse: (text: string) => T): T | null {
  const text = form.stated(name);
  if (text === null) return null;
  try {
    return parse(text);
  } catch (error) {
    throw error instanceof InvalidValue ? new OAuthRejection('invalid_request', `${name} ${error.message}`) : error;
  }
}

export function introspectionBody(introspected: Introspected): object {
  if (!introspected) return INACTIVE;
  if ('unmet' in introspected) return { ...INACTIVE, ...insufficient(introspected) };
  const { roles, ...claims } = introspected;
  return {
    active: true,
    token_type: 'Bearer',
    ...claims,
    ...(roles.length > 0 && { scope: roles.join(' ') }),
    roles,
  };
}

/** Members with which a resource server can answer its client: those of RFC 9470 section 3 or RFC 6750 section 3.1. */
function insufficient({ unmet, required }: Insufficient): object {
  if (unmet !== 'STEP_UP_REQUIRED') {
    return { error: 'insufficient_scope', error_description: ERROR_REASONS[unmet].message };
  }
  const { maxAgeSeconds } = required;
  return { ...stepUpParameters(required), ...(maxAgeSeconds !== null && { max_age: maxAgeSeconds }) };
}
