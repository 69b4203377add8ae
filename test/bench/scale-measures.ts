import { randomUUID } from 'node:crypto';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import type { AuditFilterInput } from '../../src/admin/audit-filter.ts';
import { queryAuditEvents } from '../../src/admin/query-audit-events.ts';
import { searchUsers } from '../../src/admin/search-users.ts';
import type { Actor } from '../../src/domain/actor.ts';
import type { Email } from '../../src/domain/email.ts';
import { formatPageToken } from '../../src/domain/page-token.ts';
import { WATCH_VERSION } from '../../src/domain/revocation-event.ts';
import { ADMIN_ROLE } from '../../src/domain/role.ts';
import { EXPIRING_TABLES } from '../../src/store/expired.ts';
import { readRevocationStatuses } from '../../src/store/revocation-statuses.ts';
import type { UserFilter } from '../../src/store/user-search.ts';
import { auth } from '../support/clients.ts';
import { PASSWORD, SERVICE_KEY } from './harness.ts';
import type { Person, Side } from './scale-side.ts';

export type Measure = {
  name: string;
  run: (side: Side, person: Person) => Promise<unknown>;
  /** Without it, as many as fit into a second or two. */
  rounds?: number;
  /** Once for each side. */
  prepare?: (side: Side) => Promise<unknown>;
};

const REVOCATIONS = 100_000;
const OPERATOR: Actor = { kind: 'operator', name: 'bench' };
const OPERATOR_CHANGE = { actor: OPERATOR, effects: () => [] };
export const EVERY_EVENT: AuditFilterInput = { userId: '', actor: '', type: '', from: null, until: null };

/** @param after the key before the page; the first page without it */
function search(name: string, filter: Partial<UserFilter>, after?: (person: Person) => string): Measure {
  const input = { emailPrefix: '', role: '', disabled: null, ...filter };
  const query = JSON.stringify(['SearchUsers', input.emailPrefix, input.role, input.disabled]);
  return {
    name: `SearchUsers: ${name}`,
    run: (side, person) => {
      const pageToken = after ? formatPageToken(after(person), query) : '';
      return searchUsers(side, { ...input, pageSize: 50, pageToken });
    },
  };
}

function audit(name: string, filter: (person: Person) => Partial<AuditFilterInput>): Measure {
  return {
    name: `QueryAuditEvents: ${name}`,
    run: (side, person) => queryAuditEvents(side, { ...EVERY_EVENT, ...filter(person), pageSize: 50, pageToken: '' }),
  };
}

const idOf = ({ id }: Person) => id;
const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000);

export const SEARCH_MEASURES = [
  search('all, first page', {}),
  search('all, a page in the middle', {}, idOf),
  search('all, last page', {}, () => 'ffffffff-0000-7000-8000-000000000000'),
  search('email prefix of one user in 16', { emailPrefix: 'a' }),
  search('the same, a page in the middle', { emailPrefix: 'a' }, () => 'a8'),
  search('the same, after the last user', { emailPrefix: 'a' }, () => 'ag'),
  search('email prefix of one user in 4,096', { emailPrefix: 'abc' }),
  search('email prefix without users', { emailPrefix: 'zz' }),
  search('role of all', { role: 'user' }),
  search('role of all, a page in the middle', { role: 'user' }, idOf),
  search('role of 10 %', { role: 'beta' }),
  search('role of 50 users', { role: 'pilot' }),
  search('role that another role implies', { role: 'reader' }),
  search('role of which nearly every grant has expired', { role: 'trial' }),
  search('role without users', { role: 'latchkey.roles.read' }),
  search('disabled (1 %)', { disabled: true }),
  search('disabled, a page in the middle', { disabled: true }, idOf),
  search('enabled', { disabled: false }),
  search('common prefix, disabled', { emailPrefix: 'a', disabled: true }),
  search('common prefix, enabled', { emailPrefix: 'a', disabled: false }),
  search('common prefix, role of all', { emailPrefix: 'a', role: 'user' }),
  search('common prefix, role of 50 users', { emailPrefix: 'a', role: 'pilot' }),
  search('common prefix, role of 10 %, none of them enabled', { emailPrefix: 'a', role: 'trial', disabled: false }),
  search('role of all, disabled', { role: 'user', disabled: true }),
  search('role of 50 users, disabled', { role: 'pilot', disabled: true }),
  search('role of 10 %, none of them disabled', { role: 'beta', disabled: true }),
];

const LISTS: Measure[] = [
  { name: 'GetUser: by id', run: ({ store }, { id }) => store.userRecords.byId(id) },
  { name: 'GetUser: by email', run: ({ store }, { email }) => store.userRecords.byEmail(email) },
  { name: 'GetUser: by external id', run: ({ store }, { externalId }) => store.userRecords.byExternalId(externalId) },
  { name: 'ListSessions', run: ({ store }, { id }) => store.sessions.ofUser(id, new Date()) },
  { name: 'ListIdentities', run: ({ store }, { id }) => store.identities.ofUser(id) },
  { name: 'BatchCheckRole: roles of 100 users', run: ({ store, hundred }) => store.users.rolesOf(hundred.map(idOf)) },
  { name: 'revocation status of 100 tokens', run: revocationStatuses },
  { name: 'ImportUsers: dry run of 100 users', run: importHundred },
  { name: 'DefineRole and DeleteRole', run: defineAndDeleteRole },
  { name: 'ListServiceAccounts', run: ({ store }) => store.serviceAccounts.list('', 51) },
  { name: 'API keys that expire soon', run: ({ store }) => store.serviceAccounts.keysThatExpireBy(daysAgo(-7)) },
  { name: 'kinds of password hashes in use', run: ({ store }) => store.users.samplesOfHashKinds() },
  { name: 'outbox backlog', run: ({ store }) => store.outbox.backlog(new Date()), prepare: emptyOutbox },
];

const AUDIT = [
  audit('the newest', () => ({})),
  audit('of a user', ({ id }) => ({ userId: id })),
  audit('of an actor', ({ id }) => ({ actor: `user:${id}` })),
  audit('of a common type', () => ({ type: 'login_succeeded' })),
  audit('of a type with 50 events', () => ({ type: 'role_defined' })),
  audit('of a type without events', () => ({ type: 'identity_linked' })),
  audit('of a common type and a user', ({ id }) => ({ type: 'login_succeeded', userId: id })),
  audit('until two days ago', () => ({ until: daysAgo(2) })),
  audit('of a common type, until two days ago', () => ({ type: 'login_succeeded', until: daysAgo(2) })),
  audit('of an hour, ten days ago', () => ({ from: daysAgo(10 + 1 / 24), until: daysAgo(10) })),
  audit('of an email', ({ email }) => ({ email })),
  audit('of a target', ({ id }) => ({ target: `user:${id}` })),
  audit('of an address without events', () => ({ network: '192.0.2.8' })),
  audit('of a network without events', () => ({ network: '10.0.0.0/8' })),
  audit('before the first event', () => ({ until: daysAgo(300) })),
];

const HOUSEKEEPING: Measure[] = [
  ...EXPIRING_TABLES.map((table) => ({
    name: `housekeeping: a page of ${table}`,
    run: ({ store }: Side) => store.expired.remove(table, null, 1_000),
  })),
  { name: 'housekeeping: expired grants', run: ({ store }) => store.expired.removeGrants(new Date()) },
  { name: 'DeleteUser', run: deleteUser },
  {
    name: 'housekeeping: traces of a deleted user',
    run: ({ store }) => store.users.eraseTraces(10_000),
    rounds: 15,
    prepare: askForErasures,
  },
];

const RPCS: Measure[] = [
  { name: 'Login', run: login, rounds: 100 },
  {
    name: 'Login with an unknown address',
    run: (side) => login(side, { email: `${randomUUID()}@people.example` }),
    rounds: 100,
  },
  { name: 'Login and Refresh', run: loginAndRefresh, rounds: 100 },
  {
    name: `Watch: a snapshot with ${REVOCATIONS.toLocaleString('en')} revocations`,
    ...{ run: watchSnapshot, rounds: 5, prepare: endSessions },
  },
  {
    name: 'housekeeping: 10,000 revocation events',
    ...{ run: ({ store }) => store.revocationEvents.prune(10_000), rounds: 5, prepare: settleEvents },
  },
];

/** They need no server. */
export const LIST_MEASURES = [...LISTS, ...AUDIT, ...HOUSEKEEPING];
export const MEASURES = [...SEARCH_MEASURES, ...LIST_MEASURES, ...RPCS];

function login({ call }: Side, { email }: { email: string }) {
  return call(auth.login, { email, password: PASSWORD });
}

async function loginAndRefresh(side: Side, person: Person): Promise<void> {
  const { body } = await login(side, person);
  const { code } = await side.call(auth.refresh, { refreshToken: body.tokens.refreshToken });
  if (code !== 'ok') throw new Error(code);
}

function revocationStatuses({ db, hundred }: Side) {
  const tokens = hundred.map(({ id, sessionId }) => ({
    userId: id,
    sessionId,
    epoch: 1,
    roles: ['user'],
    rolesEpoch: 0,
  }));
  return readRevocationStatuses(db, tokens, { at: new Date() });
}

function importHundred({ store }: Side) {
  const users = Array.from({ length: 100 }, () => ({
    ...{
      id: randomUUID(),
      externalId: randomUUID(),
      email: `${randomUUID()}@people.example` as Email,
      roles: ['beta'],
    },
    ...{ fullName: 'Grace Hopper', passwordHash: null, emailVerified: true, disabled: false, createdAt: new Date() },
    factors: [],
    identities: [
      { id: randomUUID(), provider: 'google', issuer: 'https://accounts.google.com', subject: randomUUID() },
    ],
  }));
  const change = { ...OPERATOR_CHANGE, at: new Date(), reason: 'bench', isDryRun: true };
  return store.userImport.importAll(users, { ...change, decide: () => null });
}

async function defineAndDeleteRole({ store }: Side): Promise<void> {
  const change = { ...OPERATOR_CHANGE, at: new Date(), decide: () => {} };
  const role = { name: 'unused', description: '', granter: ADMIN_ROLE, implies: [], requiredAcr: 'pwd' as const };
  await store.roles.define(role, change);
  await store.roles.remove('unused', change);
}

function deleteUser({ store }: Side, { id }: Person) {
  return store.userRecords.change(id, 'delete', { ...OPERATOR_CHANGE, at: new Date(), decide: () => {} });
}

function emptyOutbox({ owner }: Side) {
  return owner.query('DELETE FROM outbox');
}

/** As a minute after the deletion. */
async function askForErasures({ owner, hundred }: Side): Promise<void> {
  await emptyOutbox({ owner } as Side);
  await owner.query('DELETE FROM users WHERE id = ANY($1)', [hundred.map(idOf)]);
  await owner.query("UPDATE erasures SET deleted_at = now() - interval '2 minutes'");
}

async function endSessions({ owner }: Side): Promise<void> {
  await owner.query('DELETE FROM changes');
  await owner.query(
    `UPDATE sessions SET ended_at = now() WHERE id IN (SELECT id FROM sessions WHERE ended_at IS NULL ORDER BY id LIMIT $1)`,
    [REVOCATIONS],
  );
}

/** As two hours later. */
async function settleEvents({ owner }: Side): Promise<void> {
  await owner.query(
    `INSERT INTO changes_horizons SELECT now() - interval '3 hours', pg_snapshot_xmin(pg_current_snapshot()), system_identifier
     FROM pg_control_system()`,
  );
}

/** Until the message that completes the snapshot. */
async function watchSnapshot({ url }: Side): Promise<void> {
  const sessionManager = new Http2SessionManager(url);
  const client = createClient(VerifierService, createGrpcTransport({ baseUrl: url, sessionManager }));
  let revoked = 0;
  try {
    for await (const { changes, cursor } of client.watch(
      { version: WATCH_VERSION },
      { headers: { authorization: `Bearer ${SERVICE_KEY}` } },
    )) {
      revoked += changes.length;
      if (cursor !== '') break;
    }
  } finally {
    sessionManager.abort();
  }
  if (revoked < REVOCATIONS) throw new Error(`the snapshot has ${revoked} events`);
}
