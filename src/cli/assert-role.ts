import { OperatorError } from '../process/operator-error.ts';
import type { Operator } from './operator.ts';

/** @param role empty for none @throws OperatorError when the role does not exist */
export async function assertRole({ store }: Operator['deps'], role: string): Promise<void> {
  const roles = await store.roles.all();
  if (role !== '' && !roles.some(({ name }) => name === role)) throw new OperatorError(`role ${role} does not exist`);
}
