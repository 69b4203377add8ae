// The RPCs of the fast path, answered from memory without waiting. Each returns null for a message that it does not
// recognise or cannot answer. Connect then answers the same call.
import { Reason as ReasonEnum } from '../../../gen/latchkey/auth/v1/errors_pb.ts';
import { MAX_BATCH } from '../../auth/batch-verify.ts';
import type { RoleAnswer } from '../../auth/check-role.ts';
import { type CredentialTerms, judgeFromMemory, type MemoryDeps } from '../../auth/judge-credentials.ts';
import { denialOf } from '../../authorization/denials.ts';
import { isAcr } from '../../domain/acr.ts';
import { tokenToVerify } from '../../domain/bearer-token.ts';
import { isMaxAge } from '../../domain/required-strength.ts';
import { unmetReason } from '../../domain/requirement.ts';
import { isRole } from '../../domain/role.ts';
import type { Decision, Verdict } from '../../verifier/engine.ts';
import { BATCH_BOUNDS, MESSAGE_BOUNDS } from '../calls/message-bounds.ts';
import type { StandardServices } from '../rpc/standard-services.ts';
import { decisionJson, decisionSize, writeDecision } from './encode-decision.ts';
import { type CheckDeps, check } from './fast-check.ts';
import type { FastCaller, FastMethod, Rejected, Reply } from './fast-method.ts';
import { lengthDelimitedSize, readFields, varintSize, writeLength, writeVarintField } from './protobuf-wire.ts';

/** More than any method has: a message with more fields repeats some. */
const MAX_FIELDS = 8;

export type FastPathDeps = MemoryDeps & CheckDeps & { recentlyServing: StandardServices['recentlyServing'] };

type Question = {
  accessToken: string;
  audience: string;
  role: string;
  acceptApiKeys: boolean;
  acr: string;
  maxAge: number;
};

export function fastMethods(deps: FastPathDeps): FastMethod[] {
  const { serviceKeys, apiKeys, denials } = deps;

  const judge = (question: Question, { credential }: FastCaller): Verdict | null => {
    const token = tokenToVerify(question.accessToken, credential);
    const terms = token === '' ? null : termsOf(question);
    return terms && judgeFromMemory(deps, token, terms);
  };

  const verify = (question: Question, caller: FastCaller): Reply | Rejected | null => {
    const verdict = judge(question, caller);
    return verdict && ('reason' in verdict ? rejectedOf(verdict, question, caller) : encodeDecision(verdict.decision));
  };

  const checkRole = (question: Question, caller: FastCaller): Reply | Rejected | null => {
    const { role } = question;
    const verdict = isRole(role) ? judge(question, caller) : null;
    if (!verdict) return null;
    if ('reason' in verdict) return rejectedOf(verdict, question, caller);
    const { principal } = verdict.decision;
    if (unmetReason({ role }, principal) === null) return encodeRole({ allowed: true });
    const isAudited = denials.isRecorded(denialOf(principal, role));
    return isAudited ? encodeRole({ allowed: false, reason: 'ROLE_NOT_GRANTED' }) : null;
  };

  const isService = (credential: string) => serviceKeys.use(credential) !== null || apiKeys.cached(credential) !== null;

  const batchVerify = (tokens: string[], question: Question): Reply | null => {
    const terms = termsOf(question);
    if (!terms || tokens.length === 0 || tokens.length > MAX_BATCH) return null;
    const verdicts: Verdict[] = [];
    for (const token of tokens) {
      const verdict = judgeFromMemory(deps, token, terms);
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

  return [
    {
      name: 'latchkey.auth.v1.AuthService/Verify',
      bounds: MESSAGE_BOUNDS,
      mayCall: () => true,
      binary(bytes, start, caller) {
        const question = readQuestion(bytes, start, VERIFY);
        return question && verify(question, caller);
      },
      json(message, caller) {
        const question = questionOf(message, ['accessToken', 'audience', 'acceptApiKeys', 'acr', 'maxAge']);
        return question && verify(question, caller);
      },
    },
    {
      name: 'latchkey.auth.v1.AuthService/CheckRole',
      bounds: MESSAGE_BOUNDS,
      mayCall: () => true,
      binary(bytes, start, caller) {
        const question = readQuestion(bytes, start, CHECK_ROLE);
        return question && checkRole(question, caller);
      },
      json(message, caller) {
        const question = questionOf(message, ['accessToken', 'role', 'acceptApiKeys', 'acr', 'maxAge']);
        return question && checkRole(question, caller);
      },
    },
    {
      name: 'latchkey.auth.v1.VerifierService/BatchVerify',
      bounds: BATCH_BOUNDS,
      mayCall: isService,
      binary(bytes, start) {
        const tokens: string[] = [];
        const question = newQuestion();
        const onText = (field: number, text: string) => {
          if (field !== 1) return setText(question, VERIFY, field, text);
          tokens.push(text);
          return true;
        };
        const onNumber = (field: number, value: number) => setNumber(question, VERIFY, field, value);
        return readFields(bytes, start, MAX_BATCH + 4, onText, onNumber) ? batchVerify(tokens, question) : null;
      },
      json(message) {
        const { accessTokens, ...others } = message as Record<string, unknown>;
        const question = questionOf(others, ['audience', 'acceptApiKeys', 'acr', 'maxAge']);
        if (!question || !Array.isArray(accessTokens) || !accessTokens.every((token) => typeof token === 'string'))
          return null;
        return batchVerify(accessTokens, question);
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
          return check(deps, bytes, start, caller);
        } catch {
          // Connect returns the error.
          return null;
        }
      },
      json: () => null,
    },
  ];
}

/** Null for a strength that does not exist. */
function termsOf({ audience, acceptApiKeys, acr, maxAge }: Question): CredentialTerms | null {
  if (acr === '' && maxAge === 0) return { audience, acceptsApiKeys: acceptApiKeys, strength: null };
  if ((acr !== '' && !isAcr(acr)) || (maxAge !== 0 && !isMaxAge(maxAge))) return null;
  const strength = { acr: acr === '' ? null : acr, maxAgeSeconds: maxAge === 0 ? null : maxAge };
  return { audience, acceptsApiKeys: acceptApiKeys, strength };
}

function rejectedOf(
  { reason, required }: Extract<Verdict, { reason: unknown }>,
  { accessToken }: Question,
  { credential }: FastCaller,
): Rejected {
  return { reason, required, credential: tokenToVerify(accessToken, credential) };
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

/** The fields of a request, by their numbers. */
type Fields = {
  texts: Record<number, 'accessToken' | 'audience' | 'role' | 'acr'>;
  acceptApiKeys: number;
  maxAge: number;
};

/** BatchVerifyRequest has the same, with a list of tokens. */
const VERIFY: Fields = { texts: { 1: 'accessToken', 2: 'audience', 4: 'acr' }, acceptApiKeys: 3, maxAge: 5 };
const CHECK_ROLE: Fields = { texts: { 1: 'accessToken', 3: 'role', 5: 'acr' }, acceptApiKeys: 4, maxAge: 6 };

function newQuestion(): Question {
  return { accessToken: '', audience: '', role: '', acceptApiKeys: false, acr: '', maxAge: 0 };
}

function readQuestion(bytes: Buffer, start: number, fields: Fields): Question | null {
  const question = newQuestion();
  const isPlain = readFields(
    bytes,
    start,
    MAX_FIELDS,
    (field, text) => setText(question, fields, field, text),
    (field, value) => setNumber(question, fields, field, value),
  );
  return isPlain ? question : null;
}

function setText(question: Question, { texts }: Fields, field: number, text: string): boolean {
  const name = texts[field];
  if (name) question[name] = text;
  return name !== undefined;
}

/** False for a value that the library must read. */
function setNumber(question: Question, { acceptApiKeys, maxAge }: Fields, field: number, value: number): boolean {
  if (field === maxAge) {
    question.maxAge = value;
    return value >= 0;
  }
  question.acceptApiKeys = field === acceptApiKeys && value === 1;
  return question.acceptApiKeys;
}

/** Null unless it is an object with only these members, each of its type. */
function questionOf(value: object, names: (keyof Question)[]): Question | null {
  if (Array.isArray(value)) return null;
  const question = newQuestion();
  for (const [name, member] of Object.entries(value)) {
    const known = names.find((one) => one === name);
    if (known === undefined || typeof member !== typeof question[known]) return null;
    Object.assign(question, { [known]: member });
  }
  return question;
}
