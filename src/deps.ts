import type { Denials } from './authorization/denials.ts';
import type { RoleReads } from './authorization/role-reads.ts';
import type { BrowserSessions } from './domain/browser-sessions.ts';
import type { Password, PasswordPolicy } from './domain/password.ts';
import type { RelyingParty } from './factors/ceremony.ts';
import type { ApiKeys } from './keys/api-keys.ts';
import type { KeyRotation } from './keys/key-rotation.ts';
import type { PurposeKeys } from './keys/purpose-keys.ts';
import type { ServiceKeys } from './keys/service-keys.ts';
import type { SigningKeys } from './keys/signing-keys.ts';
import type { CountedLimits } from './limits/counted-limits.ts';
import type { KnownNetworks } from './limits/known-networks.ts';
import type { Limiter } from './limits/limiter.ts';
import type { SessionUsers } from './limits/session-users.ts';
import type { Providers } from './oauth/provider.ts';
import type { Hasher } from './passwords/hasher.ts';
import type { RevocationFeed } from './revocation-feed/revocation-feed.ts';
import type { Watchers } from './revocation-feed/watchers.ts';
import type { Store } from './store/store.ts';
import type { Verifier } from './verifier/verifier.ts';

type TokenSettings = {
  /** `iss` of access tokens. */
  issuer: string;
  /** `aud` of access tokens, unless the client requests fewer; Latchkey's own is among them. */
  audiences: string[];
  accessTtlSeconds: number;
  serviceTokenTtlSeconds: number;
  /** How long a session lives without being used. */
  sessionIdleSeconds: number;
  /** How long it lives at the most. */
  sessionMaxSeconds: number;
  /** How many of one user live at once. */
  maxSessionsPerUser: number;
};

/** Everything that use cases can take. Each takes a `Pick` of it. src/app.ts constructs it. */
export type Deps = {
  store: Store;
  limiter: Limiter;
  countedLimits: CountedLimits;
  knownNetworks: KnownNetworks;
  sessionUsers: SessionUsers;
  hasher: Hasher;
  /** Receives each attempt at an account whose stored password hash is unreadable. */
  onUnreadableHash: (userId: string) => void;
  verifier: Verifier;
  revocationFeed: Pick<RevocationFeed, 'catchUp'>;
  watchers: Watchers;
  signingKeys: SigningKeys;
  keyRotation: KeyRotation;
  denials: Denials;
  roleReads: RoleReads;
  apiKeys: ApiKeys;
  serviceKeys: ServiceKeys;
  purposeKeys: PurposeKeys;
  passwordPolicy: PasswordPolicy;
  /** Whether a password is known from a breach. */
  isBreached: (password: Password) => Promise<boolean>;
  providers: Providers;
  /** Null when cookies of browsers are off. */
  browserSessions: BrowserSessions | null;
  /** For passkeys. Its name is also the issuer of TOTP secrets. */
  relyingParty: RelyingParty;
  /** Whether an account may sign in only once its address is verified. */
  requiresVerifiedEmail: boolean;
  /** For how long a re-authentication counts. */
  reauthenticationSeconds: number;
  tokenSettings: TokenSettings;
  /** The longest lifetime of an API key. */
  apiKeyMaxDays: number;
  /** Aborts when this process stops, for what would go on for ever. */
  closing: AbortSignal;
  now: () => Date;
  /** A time-ordered UUID (RFC 9562 version 7). */
  newId: () => string;
};
