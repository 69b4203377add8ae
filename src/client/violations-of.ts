import { BadRequestSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { AuthError, type Violation } from '../domain/auth-error.ts';
import { findDetails, memberOf } from './failure-details.ts';

/**
 * The invalid fields of a request that failed with INVALID_ARGUMENT. Empty for other failures.
 * @param failure as for `reasonOf`
 */
export function violationsOf(failure: unknown): Violation[] {
  if (failure instanceof AuthError) return failure.violations;
  const found = findDetails(failure, BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  if (found.length > 0) return found.map(({ field, description }) => ({ field, description }));
  const listed = failure instanceof Error ? undefined : memberOf(failure, 'violations');
  return Array.isArray(listed) ? listed.flatMap(violationIn) : [];
}

function violationIn(value: unknown): Violation[] {
  const [field, description] = [memberOf(value, 'field'), memberOf(value, 'description')];
  return typeof field === 'string' && typeof description === 'string' ? [{ field, description }] : [];
}
