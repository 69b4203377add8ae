// The RPCs of the fast path, answered from memory without waiting. Each returns null for a message that it does not
// recognise or cannot answer. Connect then answers the same call.
import { create, toBinary } from '@bufbuild/protobuf';
import { CheckResponseSchema } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { Reason as ReasonEnum } from '../../../gen/latchkey/auth/v1/errors_pb.ts';
import { MAX_BATCH } from '../../auth/batch-verify.ts';
import type { RoleAnswer } from '../../auth/check-role.ts';
import { judgeFromMemory, type MemoryDeps } from '../../auth/judge-credentials.ts';
import type { JudgeSessionDeps } from '../../auth/judge-session.ts';
import { type Denials, denialOf } from '../../authorization/denials.ts';
import type { Deps } from '../../deps.ts';
import { tokenToVerify } from '../../domain/bearer-token.ts';
import type { Reason } from '../../domain/error-reason.ts';
import type { TokenPrincipal } from '../../domain/principal.ts';
import { meets } from '../../domain/requirement.ts';
import { isRole } from '../../domain/role.ts';
import type { Decision, RejectionReason, Verdict } from '../../verifier/engine.ts';
import { chooseRequestId } from '../calls/call-record.ts';
import { BATCH_BOUNDS, MESSAGE_BOUNDS, type MessageBounds } from '../calls/message-bounds.ts';
import { type Authorization, authorizeFromMemory } from '../gateway/authorize-request.ts';
import { type CheckedClient, type CurrentPolicy, METADATA_PREFIX } from '../gateway/check-request.ts';
import { checkResponse, readCheck } from '../gateway/ext-authz.ts';
import type { StandardServices } from '../rpc/standard-services.ts';
import { decisionJson, decisionSize, writeDecision } from './encode-decision.ts';
import { lengthDelimitedSize, readFields, varintSize, writeLength, writeVarintField } from './protobuf-wire.ts';
import { readCheckFacts } from './read-check.ts';

export type Reply = {
  size(): number;
  write(into: Buffer, at: number): void;
  json(): string;
  denial?: Reason;
  /** The credential of a denial, for the log line. */
  credential?: string;
  /** The client behind a gateway, in the place of the caller. */
  client?: { requestId: string; forwardedFor: string };
};
/** `credential` is for the log line. */
export type Rejected = { reason: RejectionReason; credential: string };

export type FastCaller = {
  /** The token of the call's own `authorization: Bearer ...`, or empty. */
  credential: string;
  requestId: string;
  headersWith(prefix: string): [name: string, value: string][];
};

export type FastMethod = {
  name: string;
  bounds: MessageBounds;
  /** Checked from memory before any of the body is read. Connect answers callers for which this is false. */
  mayCall(credential: string): boolean;
  /** @param start of the message in these bytes */
  binary(bytes: Buffer, start: number, caller: FastCaller): Reply | Rejected | null;
  json(message: object, caller: FastCaller): Reply | Rejected | null;
};

/** More than any method has: a message with more fields repeats some. */
const MAX_FIELDS = 8;

export type FastPathDeps = MemoryDeps &
  JudgeSessionDeps &
  Pick<Deps, 'browserSessions'> & {
    denials: Pick<Denials, 'isRecorded'>;
    policy: CurrentPolicy;
    recentlyServing: StandardServices['recentlyServing'];
  };

type Question = { accessToken: string; audience: string; role: string; acceptApiKeys: boolean };

export function fastMethods(deps: FastPathDeps): FastMethod[] {
  const { serviceKeys, apiKeys, denials } = deps;

  const judge = (question: Question, { credential }: FastCaller): Verdict | null => {
    const { audience, acceptApiKeys } = question;
    const token = tokenToVerify(question.accessToken, credential);
    return token === '' ? null : judgeFromMemory(deps, token, { audience, acceptsApiKeys: acceptApiKeys });
  };

  const verify = (question: Question, caller: FastCaller): Reply | Rejected | null => {
    const verdict = judge(question, caller);
    return (
      verdict && ('reason' in verdict ? rejectedOf(verdict.reason, question, caller) : encodeDecision(verdict.decision))
    );
  };

  const checkRole = (question: Question, caller: FastCaller): Reply | Rejected | null => {
    const { role } = question;
    const verdict = isRole(role) ? judge(question, caller) : null;
    if (!verdict) return null;
    if ('reason' in verdict) return rejectedOf(verdict.reason, question, caller);
    const { principal } = verdict.decision;
    if (meets({ role }, principal)) return encodeRole({ allowed: true });
    const isAudited = denials.isRecorded(denialOf(principal, role));
    return isAudited ? encodeRole({ allowed: false, reason: 'ROLE_NOT_GRANTED' }) : null;
  };

  const isService = (credential: string) => serviceKeys.use(credential) !== null || apiKeys.cached(credential) !== null;

  const batchVerify = (tokens: string[], audience: string, acceptsApiKeys: boolean): Reply | null => {
    if (tokens.length === 0 || tokens.length > MAX_BATCH) return null;
    const verdicts: Verdict[] = [];
    for (const token of tokens) {
      const verdict = judgeFromMemory(deps, token, { audience, acceptsApiKeys });
      if (!verdict) return null;
      verdicts.push(verdict);
    }
    return encodeVerdicts(verdicts);
  };

  /** HealthCheckResponse: status = 1. */
  const health = (service: string): Reply | null => {
    const isServing = deps.recentlyServing(service);
    if (isServing === null) return null;
    return {
      size: () => 2,
      write: (into, at) => void writeVarintField(into, at, 1, isServing ? 1 : 2),
      json: () => `{"status":"${isServing ? 'SERVING' : 'NOT_SERVING'}"}`,
    };
  };

  const check = (bytes: Buffer, start: number, caller: FastCaller): Reply | null => {
    const facts = readCheckFacts(bytes, start);
    if (!facts) return null;
    const metadata = caller.headersWith(METADATA_PREFIX);
    const { client, request } = readCheck(facts, { ...deps, metadata });
    const authorization = 'allowed' in request ? request : authorizeFromMemory(deps, request);
    if (!authorization) return null;
    const suggestedId = client.requestId || caller.requestId;
    const requestId = authorization.allowed && suggestedId === '' ? '' : chooseRequestId(suggestedId);
    const { forwardedFor } = client;
    const credential = 'allowed' in request ? '' : request.token;
    return { ...encodeCheck(authorization, client, requestId), credential, client: { requestId, forwardedFor } };
  };

  return [
    {
      name: 'latchkey.auth.v1.AuthService/Verify',
      bounds: MESSAGE_BOUNDS,
      mayCall: () => true,
      binary(bytes, start, caller) {
        const question = readQuestion(bytes, start, { 1: 'accessToken', 2: 'audience' }, 3);
        return question && verify(question, caller);
      },
      json(message, caller) {
        const question = questionOf(message, ['accessToken', 'audience', 'acceptApiKeys']);
        return question && verify(question, caller);
      },
    },
    {
      name: 'latchkey.auth.v1.AuthService/CheckRole',
      bounds: MESSAGE_BOUNDS,
      mayCall: () => true,
      binary(bytes, start, caller) {
        const question = readQuestion(bytes, start, { 1: 'accessToken', 3: 'role' }, 4);
        return question && checkRole(question, caller);
      },
      json(message, caller) {
        const question = questionOf(message, ['accessToken', 'role', 'acceptApiKeys']);
        return question && checkRole(question, caller);
      },
    },
    {
      name: 'latchkey.auth.v1.VerifierService/BatchVerify',
      bounds: BATCH_BOUNDS,
      mayCall: isService,
      binary(bytes, start) {
        const tokens: string[] = [];
        let audience = '';
        let acceptsApiKeys = false;
        const isPlain = readFields(
          bytes,
          start,
          MAX_BATCH + 2,
          (field, text) => {
            if (field === 1) tokens.push(text);
            else if (field === 2) audience = text;
            else return false;
            return true;
          },
          (field) => {
            acceptsApiKeys = field === 3;
            return acceptsApiKeys;
          },
        );
        return isPlain ? batchVerify(tokens, audience, acceptsApiKeys) : null;
      },
      json(message) {
        const { accessTokens, ...others } = message as Record<string, unknown>;
        const question = questionOf(others, ['audience', 'acceptApiKeys']);
        if (!question || !Array.isArray(accessTokens) || !accessTokens.every((token) => typeof token === 'string'))
          return null;
        return batchVerify(accessTokens, question.audience, question.acceptApiKeys);
      },
    },
    {
      name: 'grpc.health.v1.Health/Check',
      bounds: MESSAGE_BOUNDS,
      mayCall: () => true,
      binary(bytes, start) {
        let service = '';
        const onText = (field: number, text: string) => {
          service = text;
          return field === 1;
        };
        return readFields(bytes, start, 1, onText, () => false) ? health(service) : null;
      },
      json(message) {
        const { service = '', ...others } = message as Record<string, unknown>;
        return typeof service === 'string' && Object.keys(others).length === 0 ? health(service) : null;
      },
    },
    {
      name: 'envoy.service.auth.v3.Authorization/Check',
      // A larger message holds slots of Connect's way while it arrives.
      bounds: MESSAGE_BOUNDS,
      mayCall: () => true,
      binary(bytes, start, caller) {
        try {
          return check(bytes, start, caller);
        } catch {
          // Connect returns the error.
          return null;
        }
      },
      json: () => null,
    },
  ];
}

function rejectedOf(reason: RejectionReason, { accessToken }: Question, { credential }: FastCaller): Rejected {
  return { reason, credential: tokenToVerify(accessToken, credential) };
}

/** A principal of the token cache gets the same response each time. */
const allowedResponses = new WeakMap<TokenPrincipal, Uint8Array>();

function encodeCheck(authorization: Authorization, client: CheckedClient, requestId: string): Reply {
  const principal = authorization.allowed && authorization.cookies === undefined ? authorization.principal : null;
  const known = principal && allowedResponses.get(principal);
  // Encoded by the library: Envoy's messages are large and not ours to change.
  const bytes =
    known ??
    toBinary(CheckResponseSchema, create(CheckResponseSchema, checkResponse(authorization, client, requestId)));
  if (principal && !known) allowedResponses.set(principal, bytes);
  return {
    size: () => bytes.length,
    write: (into, at) => into.set(bytes, at),
    json: () => '',
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

type TextField = 'accessToken' | 'audience' | 'role';

/** @param flag the number of accept_api_keys */
function readQuestion(bytes: Buffer, start: number, texts: Record<number, TextField>, flag: number): Question | null {
  const question: Question = { accessToken: '', audience: '', role: '', acceptApiKeys: false };
  const isPlain = readFields(
    bytes,
    start,
    MAX_FIELDS,
    (field, text) => {
      const name = texts[field];
      if (name) question[name] = text;
      return name !== undefined;
    },
    (field) => {
      question.acceptApiKeys = field === flag;
      return question.acceptApiKeys;
    },
  );
  return isPlain ? question : null;
}

/** Null unless it is an object with only these members, each of its type. */
function questionOf(value: object, names: (keyof Question)[]): Question | null {
  if (Array.isArray(value)) return null;
  const question: Question = { accessToken: '', audience: '', role: '', acceptApiKeys: false };
  for (const [name, member] of Object.entries(value)) {
    const known = names.find((one) => one === name);
    if (known === undefined || typeof member !== typeof question[known]) return null;
    Object.assign(question, { [known]: member });
  }
  return question;
}
