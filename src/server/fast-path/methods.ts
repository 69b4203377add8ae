// The RPCs of the fast path, answered from memory without waiting. Each returns null for a message that it does not
// recognise or cannot answer. Connect then answers the same call.
import { create, fromBinary, toBinary, toJsonString } from '@bufbuild/protobuf';
import { CheckRequestSchema, CheckResponseSchema } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { Reason as ReasonEnum } from '../../../gen/latchkey/auth/v1/errors_pb.ts';
import { MAX_BATCH } from '../../auth/batch-verify.ts';
import type { RoleAnswer } from '../../auth/check-role.ts';
import { type Denials, denialOf } from '../../authorization/denials.ts';
import { tokenToVerify } from '../../domain/bearer-token.ts';
import type { Reason } from '../../domain/error-reason.ts';
import { meets } from '../../domain/requirement.ts';
import { isRole } from '../../domain/role.ts';
import type { ApiKeys } from '../../keys/api-keys.ts';
import type { ServiceKeys } from '../../keys/service-keys.ts';
import type { Decision, RejectionReason, Verdict } from '../../verifier/engine.ts';
import type { Verifier } from '../../verifier/verifier.ts';
import { BATCH_BOUNDS, checkMessage, MESSAGE_BOUNDS, type MessageBounds } from '../calls/message-bounds.ts';
import { type Authorization, authorizeFromMemory } from '../gateway/authorize-request.ts';
import { checkResponse, readCheck } from '../gateway/ext-authz.ts';
import { decisionJson, decisionSize, writeDecision } from './encode-decision.ts';
import { lengthDelimitedSize, readTexts, varintSize, writeLength, writeVarintField } from './protobuf-wire.ts';

export type Reply = {
  size(): number;
  write(into: Buffer, at: number): void;
  json(): string;
  denial?: Reason;
};
export type Rejected = { reason: RejectionReason };

/** @param credential the token of the call's own `authorization: Bearer ...`, or empty */
export type FastMethod = {
  name: string;
  bounds: MessageBounds;
  /** Checked from memory before any of the body is read. Connect answers callers for which this is false. */
  mayCall(credential: string): boolean;
  binary(message: Buffer, credential: string): Reply | Rejected | null;
  json(message: object, credential: string): Reply | Rejected | null;
};

/** More than any method has: a message with more fields repeats some. */
const MAX_TEXTS = 8;

export type FastPathDeps = {
  verifier: Verifier;
  serviceKeys: ServiceKeys;
  apiKeys: Pick<ApiKeys, 'cached'>;
  denials: Pick<Denials, 'isRecorded'>;
};

export function fastMethods({ verifier, serviceKeys, apiKeys, denials }: FastPathDeps): FastMethod[] {
  const verify = (accessToken: string, audience: string, credential: string): Reply | Rejected | null => {
    const token = tokenToVerify(accessToken, credential);
    const verdict = token === '' ? null : verifier.judge(token, audience);
    return verdict && ('reason' in verdict ? verdict : encodeDecision(verdict.decision));
  };

  const checkRole = (accessToken: string, role: string, credential: string): Reply | Rejected | null => {
    if (!isRole(role)) return null;
    const token = tokenToVerify(accessToken, credential);
    const verdict = token === '' ? null : verifier.judge(token, '');
    if (!verdict || 'reason' in verdict) return verdict;
    const { principal } = verdict.decision;
    if (meets({ role }, principal)) return encodeRole({ allowed: true });
    const isAudited = denials.isRecorded(denialOf(principal, role));
    return isAudited ? encodeRole({ allowed: false, reason: 'ROLE_NOT_GRANTED' }) : null;
  };

  const isService = (credential: string) =>
    serviceKeys.nameOf(credential) !== null || apiKeys.cached(credential) !== null;

  const batchVerify = (tokens: string[], audience: string): Reply | null => {
    if (tokens.length === 0 || tokens.length > MAX_BATCH) return null;
    const verdicts: Verdict[] = [];
    for (const token of tokens) {
      const verdict = verifier.judge(token, audience);
      if (!verdict) return null;
      verdicts.push(verdict);
    }
    return encodeVerdicts(verdicts);
  };

  return [
    {
      name: 'latchkey.auth.v1.AuthService/Verify',
      bounds: MESSAGE_BOUNDS,
      mayCall: () => true,
      binary(message, credential) {
        const fields = ['', '', ''];
        const isPlain = readTexts(message, MAX_TEXTS, (field, text) => {
          if (field !== 1 && field !== 2) return false;
          fields[field] = text;
          return true;
        });
        return isPlain ? verify(fields[1] as string, fields[2] as string, credential) : null;
      },
      json(message, credential) {
        const fields = textFields(message, ['accessToken', 'audience']);
        return fields && verify(fields.accessToken ?? '', fields.audience ?? '', credential);
      },
    },
    {
      name: 'latchkey.auth.v1.AuthService/CheckRole',
      bounds: MESSAGE_BOUNDS,
      mayCall: () => true,
      binary(message, credential) {
        const fields = ['', '', '', ''];
        const isPlain = readTexts(message, MAX_TEXTS, (field, text) => {
          if (field !== 1 && field !== 3) return false;
          fields[field] = text;
          return true;
        });
        return isPlain ? checkRole(fields[1] as string, fields[3] as string, credential) : null;
      },
      json(message, credential) {
        const fields = textFields(message, ['accessToken', 'role']);
        return fields && checkRole(fields.accessToken ?? '', fields.role ?? '', credential);
      },
    },
    {
      name: 'latchkey.auth.v1.VerifierService/BatchVerify',
      bounds: BATCH_BOUNDS,
      mayCall: isService,
      binary(message) {
        const tokens: string[] = [];
        let audience = '';
        const isPlain = readTexts(message, MAX_BATCH + 1, (field, text) => {
          if (field === 1) tokens.push(text);
          else if (field === 2) audience = text;
          else return false;
          return true;
        });
        return isPlain ? batchVerify(tokens, audience) : null;
      },
      json(message) {
        const { accessTokens, ...others } = message as Record<string, unknown>;
        const fields = textFields(others, ['audience']);
        if (!fields || !Array.isArray(accessTokens) || !accessTokens.every((token) => typeof token === 'string'))
          return null;
        return batchVerify(accessTokens, fields.audience ?? '');
      },
    },
    {
      name: 'envoy.service.auth.v3.Authorization/Check',
      bounds: MESSAGE_BOUNDS,
      mayCall: () => true,
      binary: (message) => {
        try {
          checkMessage(CheckRequestSchema, message, MESSAGE_BOUNDS.maxFields, false);
          const { requirement, token } = readCheck(
            fromBinary(CheckRequestSchema, message, { readUnknownFields: false }),
          );
          const authorization = authorizeFromMemory({ verifier, denials }, requirement, token);
          return authorization && encodeCheck(authorization);
        } catch {
          // Connect returns the error.
          return null;
        }
      },
      json: () => null,
    },
  ];
}

/** Encoded by the library: Envoy's messages are large and not ours to change. */
function encodeCheck(authorization: Authorization): Reply {
  const message = create(CheckResponseSchema, checkResponse(authorization));
  const bytes = toBinary(CheckResponseSchema, message);
  return {
    size: () => bytes.length,
    write: (into, at) => into.set(bytes, at),
    json: () => toJsonString(CheckResponseSchema, message, { alwaysEmitImplicit: true }),
    ...(!authorization.allowed && { denial: authorization.reason }),
  };
}

function encodeDecision(decision: Decision): Reply {
  return {
    size: () => decisionSize(decision),
    write: (into, at) => void writeDecision(into, at, decision),
    json: () => decisionJson(decision),
  };
}

/** CheckRoleResponse: allowed = 1, reason = 2. */
function encodeRole(answer: RoleAnswer): Reply {
  const reason = answer.allowed ? 0 : ReasonEnum[answer.reason];
  return {
    size: () => (answer.allowed ? 2 : 1 + varintSize(reason)),
    write: (into, at) => {
      if (answer.allowed) writeVarintField(into, at, 1, 1);
      else writeVarintField(into, at, 2, reason);
    },
    json: () =>
      answer.allowed
        ? '{"allowed":true,"reason":"REASON_UNSPECIFIED"}'
        : `{"allowed":false,"reason":"REASON_${answer.reason}"}`,
  };
}

/** BatchVerifyResponse: verdicts = 1. Verdict: principal = 1, revalidate_at = 2, reason = 3. */
function encodeVerdicts(verdicts: Verdict[]): Reply {
  const sizeOf = (verdict: Verdict) =>
    'reason' in verdict ? 1 + varintSize(ReasonEnum[verdict.reason]) : decisionSize(verdict.decision);
  return {
    size: () => verdicts.reduce((sum, verdict) => sum + lengthDelimitedSize(sizeOf(verdict)), 0),
    write(into, start) {
      let at = start;
      for (const verdict of verdicts) {
        at = writeLength(into, at, 1, sizeOf(verdict));
        at =
          'reason' in verdict
            ? writeVarintField(into, at, 3, ReasonEnum[verdict.reason])
            : writeDecision(into, at, verdict.decision);
      }
    },
    json() {
      const each = verdicts.map((verdict) =>
        'reason' in verdict
          ? `{"reason":"REASON_${verdict.reason}"}`
          : `${decisionJson(verdict.decision).slice(0, -1)},"reason":"REASON_UNSPECIFIED"}`,
      );
      return `{"verdicts":[${each.join(',')}]}`;
    },
  };
}

/** Null unless it is an object with only these members, all of them texts. */
function textFields<Name extends string>(value: object, names: Name[]): { [name in Name]?: string } | null {
  if (Array.isArray(value)) return null;
  for (const [name, text] of Object.entries(value)) {
    if (typeof text !== 'string' || !(names as string[]).includes(name)) return null;
  }
  return value as { [name in Name]?: string };
}
