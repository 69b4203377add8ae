import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { HandlerContext } from '@connectrpc/connect';
import { AdminService } from '../../../gen/latchkey/auth/v1/admin_service_pb.ts';
import {
  deleteServiceAccount,
  disableServiceAccount,
  enableServiceAccount,
} from '../../admin/administer-service-account.ts';
import {
  deleteUser,
  disableUser,
  enableUser,
  endUserSessions,
  requireNewPassword,
} from '../../admin/administer-user.ts';
import { createApiKey } from '../../admin/create-api-key.ts';
import { createServiceAccount } from '../../admin/create-service-account.ts';
import { createUser } from '../../admin/create-user.ts';
import { defineRole } from '../../admin/define-role.ts';
import { deleteRole } from '../../admin/delete-role.ts';
import { getFactorPolicy } from '../../admin/get-factor-policy.ts';
import { type GetUserInput, getUser } from '../../admin/get-user.ts';
import { getUserActivity } from '../../admin/get-user-activity.ts';
import { grantRole } from '../../admin/grant-role.ts';
import { importUsers } from '../../admin/import-users.ts';
import { listApiKeys } from '../../admin/list-api-keys.ts';
import { listRoles } from '../../admin/list-roles.ts';
import { listServiceAccounts } from '../../admin/list-service-accounts.ts';
import { listSigningKeys } from '../../admin/list-signing-keys.ts';
import { listUserFactors } from '../../admin/list-user-factors.ts';
import { listUserSessions } from '../../admin/list-user-sessions.ts';
import { queryAuditEvents } from '../../admin/query-audit-events.ts';
import { removeUserFactor } from '../../admin/remove-user-factor.ts';
import { retireSigningKey } from '../../admin/retire-signing-key.ts';
import { revokeApiKey } from '../../admin/revoke-api-key.ts';
import { revokeRole } from '../../admin/revoke-role.ts';
import { rotateSigningKeys } from '../../admin/rotate-signing-keys.ts';
import { searchUsers } from '../../admin/search-users.ts';
import { setFactorPolicy } from '../../admin/set-factor-policy.ts';
import { streamAuditEvents } from '../../admin/stream-audit-events.ts';
import { unlockUser } from '../../admin/unlock-user.ts';
import type { Deps } from '../../deps.ts';
import type { Actor } from '../../domain/actor.ts';
import type { Call } from '../../domain/call.ts';
import { BATCH_BOUNDS } from '../calls/message-bounds.ts';
import {
  apiKeyMessage,
  eventMessage,
  foundMessage,
  importedUser,
  recordMessage,
  serviceAccountMessage,
  signingKeyMessage,
} from './admin-messages.ts';
import { actorOf, callOf } from './call-context.ts';
import { factorMessage } from './factor-messages.ts';
import { givenPolicy, policyMessage } from './factor-policy-messages.ts';
import { timeOf } from './messages.ts';
import type { Routes } from './routes.ts';
import { activityMessage, sessionMessage } from './user-history-messages.ts';

export function adminRoutes(deps: Deps): Routes {
  function changing<Input extends { actor: Actor }>(useCase: (deps: Deps, input: Input, call: Call) => Promise<void>) {
    return async (request: Omit<Input, 'actor'>, context: HandlerContext) => {
      await useCase(deps, { ...request, actor: actorOf(context) } as Input, callOf(context));
      return {};
    };
  }

  return (router) => {
    router.service(
      AdminService,
      {
        getUser: async ({ user }) => ({ user: recordMessage(await getUser(deps, userReference(user))) }),

        getUserActivity: async (request) => activityMessage(await getUserActivity(deps, request)),

        listUserSessions: async (request) => {
          const { sessions, nextPageToken } = await listUserSessions(deps, request);
          return { sessions: sessions.map(sessionMessage), nextPageToken };
        },

        searchUsers: async ({ disabled = null, ...request }) => {
          const { users, nextPageToken } = await searchUsers(deps, { ...request, disabled });
          return { users: users.map(foundMessage), nextPageToken };
        },

        createUser: async (request, context) => ({
          userId: await createUser(deps, { ...request, actor: actorOf(context) }, callOf(context)),
        }),

        async *importUsers(requests, context) {
          const importing = { ...deps, totpKeys: deps.purposeKeys.totpSecrets };
          for await (const { users, reason, dryRun } of requests) {
            const input = { actor: actorOf(context), users: users.map(importedUser), reason, dryRun };
            yield await importUsers(importing, input, callOf(context));
          }
        },

        disableUser: changing(disableUser),

        enableUser: changing(enableUser),

        deleteUser: changing(deleteUser),

        requireNewPassword: changing(requireNewPassword),

        endUserSessions: async (request, context) => ({
          ended: await endUserSessions(deps, { ...request, actor: actorOf(context) }, callOf(context)),
        }),

        unlockUser: async (request, context) => ({
          limits: await unlockUser(deps, { ...request, actor: actorOf(context) }, callOf(context)),
        }),

        listUserFactors: async (request) => {
          const { factors, recoveryCodesLeft } = await listUserFactors(deps, request);
          return { factors: factors.map(factorMessage), recoveryCodesLeft };
        },

        removeUserFactor: async (request, context) => ({
          sessionsEnded: await removeUserFactor(deps, { ...request, actor: actorOf(context) }, callOf(context)),
        }),

        getFactorPolicy: async () => policyMessage(await getFactorPolicy(deps)),

        setFactorPolicy: async ({ policy, reason }, context) => {
          const input = { ...givenPolicy(policy), reason, actor: actorOf(context) };
          await setFactorPolicy(deps, input, callOf(context));
          return {};
        },

        listRoles: async () => ({ roles: await listRoles(deps) }),

        defineRole: async ({ role, reason }, context) => {
          const { name = '', description = '', implies = [], granter = '', requiredAcr = '' } = role ?? {};
          const defined = { name, description, implies, granter, requiredAcr };
          const input = { actor: actorOf(context), role: defined, reason };
          await defineRole(deps, input, callOf(context));
          return {};
        },

        deleteRole: changing(deleteRole),

        grantRole: async ({ expiresAt, ...request }, context) => {
          const until = timeOf('expires_at', expiresAt);
          await grantRole(deps, { ...request, actor: actorOf(context), expiresAt: until }, callOf(context));
          return {};
        },

        revokeRole: changing(revokeRole),

        createServiceAccount: async (request, context) => {
          const input = { ...request, actor: actorOf(context) };
          return { serviceAccountId: await createServiceAccount(deps, input, callOf(context)) };
        },

        listServiceAccounts: async (request) => {
          const { serviceAccounts, nextPageToken } = await listServiceAccounts(deps, request);
          return { serviceAccounts: serviceAccounts.map(serviceAccountMessage), nextPageToken };
        },

        disableServiceAccount: changing(disableServiceAccount),

        enableServiceAccount: changing(enableServiceAccount),

        deleteServiceAccount: changing(deleteServiceAccount),

        createApiKey: async ({ expiresAt, ...request }, context) => {
          const until = timeOf('expires_at', expiresAt);
          const input = { ...request, expiresAt: until, actor: actorOf(context) };
          const { id, key, expiresAt: end } = await createApiKey(deps, input, callOf(context));
          return { apiKeyId: id, apiKey: key, expiresAt: timestampFromDate(end) };
        },

        listApiKeys: async (request) => ({ apiKeys: (await listApiKeys(deps, request)).map(apiKeyMessage) }),

        revokeApiKey: changing(revokeApiKey),

        listSigningKeys: async () => ({ signingKeys: (await listSigningKeys(deps)).map(signingKeyMessage) }),

        rotateSigningKeys: changing(rotateSigningKeys),

        retireSigningKey: changing(retireSigningKey),

        queryAuditEvents: async ({ from, until, ...request }) => {
          const times = { from: timeOf('from', from), until: timeOf('until', until) };
          const { events, nextPageToken } = await queryAuditEvents(deps, { ...request, ...times });
          return { events: events.map(eventMessage), nextPageToken };
        },

        async *streamAuditEvents(request, context) {
          for await (const { events, cursor } of streamAuditEvents(deps, request, callOf(context))) {
            yield { events: events.map(eventMessage), cursor };
          }
        },
      },
      // A page of users is larger than other responses.
      { writeMaxBytes: BATCH_BOUNDS.maxBytes },
    );
  };
}

function userReference(
  user: { case: 'userId' | 'email' | 'externalId'; value: string } | { case: undefined; value?: undefined },
): GetUserInput {
  switch (user.case) {
    case 'userId':
      return { userId: user.value };
    case 'email':
      return { email: user.value };
    case 'externalId':
      return { externalId: user.value };
    default:
      return null;
  }
}
