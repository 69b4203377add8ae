import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ConnectRouter } from '@connectrpc/connect';
import { AccountService } from '../../../gen/latchkey/auth/v1/account_service_pb.ts';
import { AuthService } from '../../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { VerifierService } from '../../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { batchCheckRole } from '../../auth/batch-check-role.ts';
import { batchVerify } from '../../auth/batch-verify.ts';
import { checkRole } from '../../auth/check-role.ts';
import { confirmNetwork } from '../../auth/confirm-network.ts';
import { confirmReset } from '../../auth/confirm-reset.ts';
import { finishOAuth } from '../../auth/finish-oauth.ts';
import { finishSignIn } from '../../auth/finish-sign-in.ts';
import { issueServiceToken } from '../../auth/issue-service-token.ts';
import { login } from '../../auth/login.ts';
import { logout } from '../../auth/logout.ts';
import { refresh } from '../../auth/refresh.ts';
import { register } from '../../auth/register.ts';
import { requestEmailVerification } from '../../auth/request-email-verification.ts';
import { requestReset } from '../../auth/request-reset.ts';
import { startOAuth } from '../../auth/start-oauth.ts';
import { startPasskeySignIn } from '../../auth/start-passkey-sign-in.ts';
import { undoEmailChange } from '../../auth/undo-email-change.ts';
import { verify } from '../../auth/verify.ts';
import { verifyEmail } from '../../auth/verify-email.ts';
import { watch } from '../../auth/watch.ts';
import type { Deps } from '../../deps.ts';
import { BATCH_BOUNDS } from '../calls/message-bounds.ts';
import { accountRoutes } from './account-routes.ts';
import { bearerOf, callOf, readerOf, recordOf } from './call-context.ts';
import { challengeMessage, firstStepMessage, proofOf } from './factor-messages.ts';
import { identifyUser } from './identify.ts';
import {
  changeMessage,
  principalMessage,
  roleMessage,
  startedMessage,
  tokensMessage,
  userMessage,
  verdictMessage,
} from './messages.ts';

export type Routes = (router: ConnectRouter) => void;

export function routes(deps: Deps): Routes {
  return (router) => {
    router.service(AuthService, {
      register: async (request, context) => {
        const { user, binding } = await register(deps, request, callOf(context));
        return { binding, ...(user && { user: userMessage(user) }) };
      },

      login: async (request, context) => {
        return firstStepMessage(await login(deps, request, callOf(context)));
      },

      startPasskeySignIn: async (request, context) => ({
        challenge: challengeMessage(await startPasskeySignIn(deps, request, callOf(context))),
      }),

      finishSignIn: async ({ challengeId, proof }, context) => {
        const input = { challengeId, proof: proofOf(proof) };
        const { tokens, user, recoveryCodes } = await finishSignIn(deps, input, callOf(context));
        return { tokens: tokensMessage(tokens), user: userMessage(user), recoveryCodes };
      },

      refresh: async (request, context) => ({ tokens: tokensMessage(await refresh(deps, request, callOf(context))) }),

      logout: async (request, context) => {
        await logout(deps, request, callOf(context));
        return {};
      },

      verify: async ({ accessToken, audience, acceptApiKeys, acr, maxAge }, context) => {
        const input = { accessToken, audience, acceptApiKeys, acr, maxAge, credential: bearerOf(context) };
        const { principal, revalidateAt } = await verify(deps, input, callOf(context));
        return { principal: principalMessage(principal), revalidateAt: timestampFromDate(revalidateAt) };
      },

      checkRole: async ({ subject, role, acceptApiKeys, acr, maxAge }, context) => {
        const checked =
          subject.case === 'userId'
            ? { userId: subject.value, reader: readerOf(context) }
            : { accessToken: subject.value ?? '', acceptApiKeys };
        const input = { ...checked, role, acr, maxAge, credential: bearerOf(context) };
        const answer = await checkRole(deps, input, callOf(context));
        return roleMessage(answer);
      },

      requestReset: async (request, context) => {
        await requestReset(deps, request, callOf(context));
        return {};
      },

      confirmReset: async (request, context) => {
        await confirmReset(deps, request, callOf(context));
        return {};
      },

      startOAuth: async (request, context) => startedMessage(await startOAuth(deps, request, null, callOf(context))),

      finishOAuth: async (request, context) => {
        const step = await finishOAuth(deps, request, callOf(context));
        return { ...firstStepMessage(step), newUser: step.isNew };
      },

      issueServiceToken: async ({ audiences }, context) => {
        const input = { apiKey: bearerOf(context), client: null, audiences, roles: [] };
        const { accessToken, expiresAt } = await issueServiceToken(deps, input, callOf(context));
        return { accessToken, tokenType: 'Bearer', expiresAt: timestampFromDate(expiresAt) };
      },

      requestEmailVerification: async (request, context) => {
        await requestEmailVerification(deps, request, callOf(context));
        return {};
      },

      confirmNetwork: async (request, context) => {
        await confirmNetwork(deps, request, callOf(context));
        return {};
      },

      verifyEmail: async (request, context) => {
        const caller = await identifyUser(deps, recordOf(context), context.signal);
        await verifyEmail(deps, { ...request, caller }, callOf(context));
        return {};
      },

      undoEmailChange: async (request, context) => {
        await undoEmailChange(deps, request, callOf(context));
        return {};
      },
    });

    router.service(AccountService, accountRoutes(deps));

    router.service(
      VerifierService,
      {
        batchVerify: async (request, context) => ({
          verdicts: (await batchVerify(deps, request, callOf(context))).map(verdictMessage),
        }),

        batchCheckRole: async ({ checks, acceptApiKeys, acr, maxAge }, context) => {
          const input = checks.map(({ subject, role }) =>
            subject.case === 'userId' ? { role, userId: subject.value } : { role, accessToken: subject.value ?? '' },
          );
          const batch = { checks: input, reader: readerOf(context), acceptApiKeys, acr, maxAge };
          return { answers: (await batchCheckRole(deps, batch, callOf(context))).map(roleMessage) };
        },

        async *watch(request, context) {
          const { signingKeys, tokenSettings } = deps;
          for await (const { events, cursor, asOf } of watch(deps, request, callOf(context))) {
            yield {
              changes: events.map((event) => changeMessage(event, signingKeys, tokenSettings.issuer)),
              cursor,
              ...(asOf && { asOf: timestampFromDate(asOf) }),
              sentAt: timestampFromDate(deps.now()),
            };
          }
        },
      },
      { readMaxBytes: BATCH_BOUNDS.maxBytes, writeMaxBytes: BATCH_BOUNDS.maxBytes },
    );
  };
}
