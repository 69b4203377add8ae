// The messages of AdminService, from the words of the domain and of the store.
import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf';
import { timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';
import {
  type ApiKeySchema,
  type AuditEventSchema,
  type ImportedUser as ImportedUserMessage,
  type RoleGrantSchema,
  type ServiceAccountSchema,
  SigningKey_State,
  type SigningKeySchema,
  type UserRecordSchema,
} from '../../../gen/latchkey/auth/v1/admin_service_pb.ts';
import type { ImportedUser } from '../../admin/imported-user.ts';
import type { AuditRecord } from '../../domain/audit-event.ts';
import type { KeyState, SigningKeyRecord } from '../../domain/key-schedule.ts';
import type { RoleGrant } from '../../store/role-grants.ts';
import type { ApiKey, ServiceAccount } from '../../store/service-accounts.ts';
import type { FoundUser, UserRecord } from '../../store/user-records.ts';
import { userMessage } from './messages.ts';

export function eventMessage(event: AuditRecord): MessageInitShape<typeof AuditEventSchema> {
  const { seq, id, type, occurredAt, before, after, address, userAgent, requestId, hash } = event;
  const texts = { userId: event.userId ?? '', sessionId: event.sessionId ?? '', account: event.account ?? '' };
  const change = { detail: event.detail ?? '', actor: event.actor ?? '', target: event.target ?? '' };
  return {
    seq,
    id,
    type,
    occurredAt: timestampFromDate(occurredAt),
    ...texts,
    ...change,
    address,
    userAgent,
    requestId,
    ...(before && { before: before as JsonObject }),
    ...(after && { after: after as JsonObject }),
    hash: new Uint8Array(hash),
  };
}

export function foundMessage({ user, externalId, disabledAt, hasPassword }: FoundUser) {
  return {
    externalId: externalId ?? '',
    user: userMessage(user),
    hasPassword,
    ...(disabledAt && { disabledAt: timestampFromDate(disabledAt) }),
  };
}

export function importedUser(user: ImportedUserMessage): ImportedUser {
  const factors = user.factors.map(({ name, factor }) => ({
    name,
    totpUri: factor.case === 'totpUri' ? factor.value : '',
    passkey: factor.case === 'passkey' ? factor.value : null,
  }));
  return { ...user, createdAt: user.createdAt ? timestampDate(user.createdAt) : null, factors };
}

export function recordMessage(record: UserRecord): MessageInitShape<typeof UserRecordSchema> {
  const { sessions, grants, providers } = record;
  return { ...foundMessage(record), sessions, providers, grants: grants.map(grantMessage) };
}

export function serviceAccountMessage(account: ServiceAccount): MessageInitShape<typeof ServiceAccountSchema> {
  const { createdAt, disabledAt, grants, ...rest } = account;
  return {
    ...rest,
    createdAt: timestampFromDate(createdAt),
    grants: grants.map(grantMessage),
    ...(disabledAt && { disabledAt: timestampFromDate(disabledAt) }),
  };
}

export function apiKeyMessage(key: ApiKey): MessageInitShape<typeof ApiKeySchema> {
  const { id, name, createdBy, createdAt, expiresAt, revokedAt, lastUsedAt } = key;
  return {
    id,
    name,
    createdBy,
    createdAt: timestampFromDate(createdAt),
    expiresAt: timestampFromDate(expiresAt),
    ...(revokedAt && { revokedAt: timestampFromDate(revokedAt) }),
    ...(lastUsedAt && { lastUsedAt: timestampFromDate(lastUsedAt) }),
  };
}

const KEY_STATES: Record<KeyState, SigningKey_State> = {
  published: SigningKey_State.PUBLISHED,
  active: SigningKey_State.ACTIVE,
  retiring: SigningKey_State.RETIRING,
  retired: SigningKey_State.RETIRED,
};

export function signingKeyMessage(key: SigningKeyRecord): MessageInitShape<typeof SigningKeySchema> {
  const { kid, algorithm, state, publishedAt, signsFrom, activatedAt, retiringAt, retiredAt } = key;
  return {
    kid,
    algorithm,
    state: KEY_STATES[state],
    publishedAt: timestampFromDate(publishedAt),
    signsFrom: timestampFromDate(signsFrom),
    ...(activatedAt && { activatedAt: timestampFromDate(activatedAt) }),
    ...(retiringAt && { retiringAt: timestampFromDate(retiringAt) }),
    ...(retiredAt && { retiredAt: timestampFromDate(retiredAt) }),
  };
}

function grantMessage({ grantedAt, expiresAt, ...grant }: RoleGrant): MessageInitShape<typeof RoleGrantSchema> {
  const until = expiresAt && { expiresAt: timestampFromDate(expiresAt) };
  return { ...grant, grantedAt: timestampFromDate(grantedAt), ...until };
}
