import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import {
  type FactorPolicy as FactorPolicyMessage,
  type GetFactorPolicyResponseSchema,
  FactorPolicyScope as Scope,
} from '../../../gen/latchkey/auth/v1/admin_service_pb.ts';
import type { FactorPolicyScope } from '../../domain/factor-policy.ts';
import type { StoredFactorPolicy } from '../../store/factor-policies.ts';

const SCOPES: Record<FactorPolicyScope, Scope> = {
  none: Scope.NONE,
  roles: Scope.ROLES,
  all: Scope.ALL,
};

export function policyMessage({
  changedAt,
  ...policy
}: StoredFactorPolicy): MessageInitShape<typeof GetFactorPolicyResponseSchema> {
  return {
    policy: { scope: SCOPES[policy.scope], roles: policy.roles, graceSeconds: BigInt(policy.graceSeconds) },
    ...(changedAt && { changedAt: timestampFromDate(changedAt) }),
  };
}

/** An unknown scope is empty. */
export function givenPolicy(policy: FactorPolicyMessage | undefined) {
  const [scope = ''] = Object.entries(SCOPES).find(([, value]) => value === policy?.scope) ?? [];
  return { scope, roles: policy?.roles ?? [], graceSeconds: Number(policy?.graceSeconds ?? 0) };
}
