// Decides about credentials of any kind: access tokens, and API keys where the route or the request accepts them. An
// API key is accepted wherever the token for which it could be exchanged would be.
import type { Deps } from '../deps.ts';
import type { RequiredStrength } from '../domain/acr.ts';
import { isApiKey } from '../domain/api-key.ts';
import type { Call } from '../domain/call.ts';
import type { KeyHolder } from '../store/service-accounts.ts';
import type { Verdict, VerifiedToken } from '../verifier/engine.ts';
import { requireStrength } from '../verifier/require-strength.ts';

type CredentialDeps = Pick<Deps, 'verifier' | 'serviceKeys' | 'now'> & {
  tokenSettings: Pick<Deps['tokenSettings'], 'audiences'>;
};
export type MemoryDeps = CredentialDeps & { apiKeys: Pick<Deps['apiKeys'], 'cached'> };
export type JudgeDeps = CredentialDeps & { apiKeys: Pick<Deps['apiKeys'], 'lookUp'> };

export type CredentialTerms = {
  /** Empty for any audience. */
  audience: string;
  acceptsApiKeys: boolean;
  /** Null for any strength. */
  strength: RequiredStrength | null;
};

const NOT_ACCEPTED: Verdict = { reason: 'API_KEY_NOT_ACCEPTED' };

/** Null when it takes a database query. */
export function judgeFromMemory(deps: MemoryDeps, credential: string, terms: CredentialTerms): Verdict | null {
  const verdict = verdictFromMemory(deps, credential, terms);
  if (verdict === null || terms.strength === null) return verdict;
  return requireStrength(verdict, terms.strength, deps.now().getTime());
}

function verdictFromMemory(deps: MemoryDeps, credential: string, terms: CredentialTerms): Verdict | null {
  if (!isApiKey(credential)) {
    const verdict = deps.verifier.judge(credential, terms.audience);
    return verdict && namingServiceKeys(deps, credential, verdict);
  }
  if (!terms.acceptsApiKeys) return NOT_ACCEPTED;
  const holder = deps.apiKeys.cached(credential);
  return holder && verdictOn(deps, holder, terms);
}

/**
 * @returns the verdicts in the order of the credentials
 * @throws AuthError DEPENDENCY_UNAVAILABLE when the revocation status is unavailable, or OVERLOADED as UnknownKeys
 */
export async function judgeCredentials(
  deps: JudgeDeps,
  credentials: string[],
  terms: CredentialTerms,
  call: Call,
): Promise<Verdict[]> {
  const tokens = credentials.filter((credential) => !isApiKey(credential));
  const [onTokens, onKeys] = await Promise.all([
    deps.verifier.judgeAll(tokens, terms.audience, call.signal),
    Promise.all(credentials.filter(isApiKey).map((key) => judgeApiKey(deps, key, terms, call))),
  ]);
  const nowMs = deps.now().getTime();
  let [nextToken, nextKey] = [0, 0];
  return credentials.map((credential) => {
    const verdict = isApiKey(credential)
      ? (onKeys[nextKey++] as Verdict)
      : namingServiceKeys(deps, credential, onTokens[nextToken++] as Verdict);
    return requireStrength(verdict, terms.strength, nowMs);
  });
}

/** @throws AuthError as judgeCredentials */
export async function judgeCredential(
  deps: JudgeDeps,
  credential: string,
  terms: CredentialTerms,
  call: Call,
): Promise<Verdict> {
  const [verdict] = await judgeCredentials(deps, [credential], terms, call);
  if (!verdict) throw new Error('there is no verdict');
  return verdict;
}

async function judgeApiKey(deps: JudgeDeps, key: string, terms: CredentialTerms, call: Call): Promise<Verdict> {
  if (!terms.acceptsApiKeys) return NOT_ACCEPTED;
  const holder = await deps.apiKeys.lookUp(key, call);
  return holder ? verdictOn(deps, holder, terms) : { reason: 'TOKEN_INVALID' };
}

function verdictOn({ verifier, tokenSettings }: CredentialDeps, holder: KeyHolder, terms: CredentialTerms): Verdict {
  const { audiences } = tokenSettings;
  if (terms.audience !== '' && !audiences.includes(terms.audience)) return { reason: 'AUDIENCE_MISMATCH' };
  return verifier.conclude(tokenOf(holder, audiences), 'active');
}

/** A key of SERVICE_KEYS identifies a caller of Latchkey, and has no account. */
function namingServiceKeys({ serviceKeys }: CredentialDeps, credential: string, verdict: Verdict): Verdict {
  const isUnknown = 'reason' in verdict && verdict.reason === 'TOKEN_INVALID';
  return isUnknown && serviceKeys.nameOf(credential) !== null ? NOT_ACCEPTED : verdict;
}

/** With the encoded principal, as long as the holder is cached. */
const tokens = new WeakMap<KeyHolder, VerifiedToken>();

function tokenOf(holder: KeyHolder, audiences: string[]): VerifiedToken {
  const known = tokens.get(holder);
  if (known) return known;
  const { keyId, serviceAccountId, name, roles, claimsEpoch, rolesEpoch, createdAt, until } = holder;
  const token: VerifiedToken = {
    text: '',
    principal: { kind: 'service', serviceAccountId, name, roles, issuedAt: createdAt, expiresAt: until },
    userId: serviceAccountId,
    sessionId: keyId,
    audiences,
    epoch: claimsEpoch,
    rolesEpoch,
    refreshCounter: 0,
    expiresAtMs: until.getTime(),
    rendered: { binary: null, json: null },
  };
  tokens.set(holder, token);
  return token;
}
