import type { ServiceImpl } from '@connectrpc/connect';
import type { AccountService } from '../../../gen/latchkey/auth/v1/account_service_pb.ts';
import { changeEmail } from '../../account/change-email.ts';
import { changePassword } from '../../account/change-password.ts';
import { deleteMe } from '../../account/delete-me.ts';
import { finishAddFactor } from '../../account/finish-add-factor.ts';
import { finishLinkIdentity } from '../../account/finish-link-identity.ts';
import { finishStepUp } from '../../account/finish-step-up.ts';
import { getMe } from '../../account/get-me.ts';
import { listFactors } from '../../account/list-factors.ts';
import { listIdentities } from '../../account/list-identities.ts';
import { listSessions } from '../../account/list-sessions.ts';
import { reauthenticate } from '../../account/reauthenticate.ts';
import { regenerateRecoveryCodes } from '../../account/regenerate-recovery-codes.ts';
import { removeFactor } from '../../account/remove-factor.ts';
import { renameFactor } from '../../account/rename-factor.ts';
import { revokeOtherSessions } from '../../account/revoke-other-sessions.ts';
import { revokeSession } from '../../account/revoke-session.ts';
import { startAddPasskey, startAddTotp } from '../../account/start-add-factor.ts';
import { startLinkIdentity } from '../../account/start-link-identity.ts';
import { startStepUp } from '../../account/start-step-up.ts';
import { unlinkIdentity } from '../../account/unlink-identity.ts';
import { updateMe } from '../../account/update-me.ts';
import type { Deps } from '../../deps.ts';
import { callOf, userOf } from './call-context.ts';
import {
  addedFactorMessage,
  challengeMessage,
  factorMessage,
  proofOf,
  startedChallengeMessage,
} from './factor-messages.ts';
import { identityMessage, sessionMessage, startedMessage, tokensMessage, userMessage } from './messages.ts';

export function accountRoutes(deps: Deps): Partial<ServiceImpl<typeof AccountService>> {
  return {
    getMe: async (_, context) => ({ user: userMessage(await getMe(deps, userOf(context), callOf(context))) }),

    changePassword: async ({ currentPassword, newPassword }, context) => {
      const input = { principal: userOf(context), currentPassword, newPassword };
      return { tokens: tokensMessage(await changePassword(deps, input, callOf(context))) };
    },

    reauthenticate: async ({ currentPassword }, context) => {
      const input = { principal: userOf(context), currentPassword };
      return { tokens: tokensMessage(await reauthenticate(deps, input, callOf(context))) };
    },

    updateMe: async ({ fullName }, context) => ({
      user: userMessage(await updateMe(deps, { principal: userOf(context), fullName }, callOf(context))),
    }),

    listSessions: async (_, context) => ({
      sessions: (await listSessions(deps, userOf(context), callOf(context))).map(sessionMessage),
    }),

    revokeSession: async ({ sessionId, currentPassword }, context) => {
      await revokeSession(deps, { principal: userOf(context), sessionId, currentPassword }, callOf(context));
      return {};
    },

    revokeOtherSessions: async ({ currentPassword }, context) => ({
      revoked: await revokeOtherSessions(deps, { principal: userOf(context), currentPassword }, callOf(context)),
    }),

    changeEmail: async ({ newEmail, currentPassword }, context) => {
      await changeEmail(deps, { principal: userOf(context), newEmail, currentPassword }, callOf(context));
      return {};
    },

    listIdentities: async (_, context) => ({
      identities: (await listIdentities(deps, userOf(context), callOf(context))).map(identityMessage),
    }),

    startLinkIdentity: async (request, context) => {
      const input = { ...request, principal: userOf(context) };
      return startedMessage(await startLinkIdentity(deps, input, callOf(context)));
    },

    finishLinkIdentity: async (request, context) => {
      await finishLinkIdentity(deps, { ...request, principal: userOf(context) }, callOf(context));
      return {};
    },

    unlinkIdentity: async ({ identityId, currentPassword }, context) => {
      await unlinkIdentity(deps, { principal: userOf(context), identityId, currentPassword }, callOf(context));
      return {};
    },

    deleteMe: async ({ currentPassword }, context) => {
      await deleteMe(deps, { principal: userOf(context), currentPassword }, callOf(context));
      return {};
    },

    listFactors: async (_, context) => {
      const { factors, recoveryCodesLeft } = await listFactors(deps, userOf(context), callOf(context));
      return { factors: factors.map(factorMessage), recoveryCodesLeft };
    },

    startAddTotp: async ({ name, currentPassword }, context) => {
      const input = { principal: userOf(context), name, currentPassword };
      const { totp, ...started } = await startAddTotp(deps, input, callOf(context));
      return { ...startedChallengeMessage(started), totp };
    },

    finishAddTotp: async ({ challengeId, totpCode }, context) => {
      const proof = { kind: 'totp', text: totpCode } as const;
      const input = { principal: userOf(context), challengeId, proof };
      return addedFactorMessage(await finishAddFactor(deps, input, callOf(context)));
    },

    startAddPasskey: async ({ name, currentPassword }, context) => {
      const input = { principal: userOf(context), name, currentPassword };
      const { creationOptions, ...started } = await startAddPasskey(deps, input, callOf(context));
      return { ...startedChallengeMessage(started), creationOptions };
    },

    finishAddPasskey: async ({ challengeId, passkeyRegistration }, context) => {
      const proof = { kind: 'passkey', text: passkeyRegistration } as const;
      const input = { principal: userOf(context), challengeId, proof };
      return addedFactorMessage(await finishAddFactor(deps, input, callOf(context)));
    },

    renameFactor: async ({ factorId, name }, context) => ({
      factor: factorMessage(await renameFactor(deps, { principal: userOf(context), factorId, name }, callOf(context))),
    }),

    removeFactor: async ({ factorId, currentPassword }, context) => ({
      sessionsEnded: await removeFactor(
        deps,
        { principal: userOf(context), factorId, currentPassword },
        callOf(context),
      ),
    }),

    regenerateRecoveryCodes: async ({ currentPassword }, context) => {
      const input = { principal: userOf(context), currentPassword };
      return { recoveryCodes: await regenerateRecoveryCodes(deps, input, callOf(context)) };
    },

    startStepUp: async ({ acr }, context) => ({
      challenge: challengeMessage(await startStepUp(deps, { principal: userOf(context), acr }, callOf(context))),
    }),

    finishStepUp: async ({ challengeId, proof }, context) => {
      const input = { principal: userOf(context), challengeId, proof: proofOf(proof) };
      return { tokens: tokensMessage(await finishStepUp(deps, input, callOf(context))) };
    },
  };
}
