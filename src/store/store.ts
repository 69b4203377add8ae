// The folder store owns all SQL: a file a table. It must not decide what a caller may do: it calls the rules of the
// domain inside its transactions. Each method is one transaction, and its effects commit with it. An aborted signal
// keeps a query from starting; the statement timeout bounds a running one.

import { type AuditTrail, createAuditTrail } from './audit-trail.ts';
import { type Challenges, createChallenges } from './challenges.ts';
import { createEmailChanges, type EmailChanges } from './email-changes.ts';
import { createEmailVerifications, type EmailVerifications } from './email-verifications.ts';
import { createExpired, type Expired } from './expired.ts';
import { createFactorPolicies, type FactorPolicies } from './factor-policies.ts';
import { createFactors, type Factors } from './factors.ts';
import { createIdentities, type Identities } from './identities.ts';
import { createMailOrders, type MailOrders } from './mail-orders.ts';
import { createMailedTokens, type MailedTokens } from './mailed-tokens.ts';
import { createNetworkConfirmations, type NetworkConfirmations } from './network-confirmations.ts';
import { createOAuthFlows, type OAuthFlows } from './oauth-flows.ts';
import { createOutbox, type Outbox } from './outbox.ts';
import { createOutboxEntries, type OutboxEntries } from './outbox-entries.ts';
import type { Db } from './postgres/database.ts';
import { createResets, type Resets } from './resets.ts';
import { createRevocationEvents, type RevocationEvents } from './revocation-events.ts';
import { createRoles, type Roles } from './roles.ts';
import { createRotations, type Rotations } from './rotations.ts';
import { createServiceAccounts, type ServiceAccounts } from './service-accounts.ts';
import { createSessions, type Sessions } from './sessions.ts';
import { createSigningKeyRows, type SigningKeyRows } from './signing-key-rows.ts';
import { createTotpSecrets, type TotpSecrets } from './totp-secrets.ts';
import { createUserExport, type UserExport } from './user-export.ts';
import { createUserFactors, type UserFactors } from './user-factors.ts';
import { createUserHistory, type UserHistory } from './user-history.ts';
import { createUserImport, type UserImport } from './user-import.ts';
import { createUserRecords, type UserRecords } from './user-records.ts';
import { createUsers, type Users } from './users.ts';

export type Store = {
  users: Users;
  sessions: Sessions;
  rotations: Rotations;
  resets: Resets;
  emailVerifications: EmailVerifications;
  emailChanges: EmailChanges;
  identities: Identities;
  networkConfirmations: NetworkConfirmations;
  oauthFlows: OAuthFlows;
  factors: Factors;
  challenges: Challenges;
  outbox: Outbox;
  outboxEntries: OutboxEntries;
  mailOrders: MailOrders;
  mailedTokens: MailedTokens;
  auditTrail: AuditTrail;
  signingKeys: SigningKeyRows;
  roles: Roles;
  factorPolicies: FactorPolicies;
  totpSecrets: TotpSecrets;
  userExport: UserExport;
  userFactors: UserFactors;
  userHistory: UserHistory;
  userImport: UserImport;
  userRecords: UserRecords;
  serviceAccounts: ServiceAccounts;
  revocationEvents: RevocationEvents;
  expired: Expired;
};

export function createStore(db: Db, newId: () => string, now: () => Date): Store {
  return {
    users: createUsers(db, newId, now),
    sessions: createSessions(db, newId, now),
    rotations: createRotations(db, newId),
    resets: createResets(db, newId),
    emailVerifications: createEmailVerifications(db, newId),
    emailChanges: createEmailChanges(db, newId),
    identities: createIdentities(db, newId),
    networkConfirmations: createNetworkConfirmations(db, newId),
    oauthFlows: createOAuthFlows(db),
    factors: createFactors(db, newId),
    challenges: createChallenges(db, newId),
    outbox: createOutbox(db, newId),
    outboxEntries: createOutboxEntries(db),
    mailOrders: createMailOrders(db, newId),
    mailedTokens: createMailedTokens(db),
    auditTrail: createAuditTrail(db),
    signingKeys: createSigningKeyRows(db, newId),
    roles: createRoles(db, newId),
    factorPolicies: createFactorPolicies(db, newId),
    totpSecrets: createTotpSecrets(db, newId),
    userExport: createUserExport(db),
    userFactors: createUserFactors(db, newId),
    userHistory: createUserHistory(db, now),
    userImport: createUserImport(db, newId),
    userRecords: createUserRecords(db, newId, now),
    serviceAccounts: createServiceAccounts(db, newId, now),
    revocationEvents: createRevocationEvents(db),
    expired: createExpired(db),
  };
}
