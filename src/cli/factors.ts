// The commands for second factors.
import { getFactorPolicy } from '../admin/get-factor-policy.ts';
import { getUser } from '../admin/get-user.ts';
import { removeUserFactor } from '../admin/remove-user-factor.ts';
import { setFactorPolicy } from '../admin/set-factor-policy.ts';
import type { Factor } from '../domain/factor.ts';
import { POLICY_SCOPE_FORM } from '../domain/factor-policy.ts';
import { OperatorError } from '../process/operator-error.ts';
import type { Command } from './command.ts';
import { identify } from './identify.ts';
import { operatorCommand, REASON } from './operator-command.ts';
import type { Row } from './output.ts';
import { USER } from './user-argument.ts';

export const USER_FACTOR_COMMANDS: Command[] = [
  operatorCommand({
    path: 'users remove-factor',
    summary: 'Removes a second factor of a user, such as a lost device, and ends the sessions that used it.',
    details:
      'The recovery codes are removed with the last factor. The user receives an e-mail. When the policy requires a factor, the next sign-in must add one.',
    arguments: { ...USER, factor: 'ID of the factor, which "users show" prints' },
    options: REASON,
    async run({ deps, actor, call }, { args, options: { reason }, output }) {
      const { user } = await getUser(deps, identify(args.user));
      const input = { actor, userId: user.id, factorId: args.factor, reason };
      const ended = await removeUserFactor(deps, input, call);
      output.message(`${user.email} no longer has the factor; sessions that ended: ${ended}`);
    },
  }),
];

export const FACTOR_POLICY_COMMANDS: Command[] = [
  operatorCommand({
    path: 'factor-policy show',
    summary: 'Shows the users that must have a second factor.',
    async run({ deps }, { output }) {
      const { scope, roles, graceSeconds, changedAt } = await getFactorPolicy(deps);
      output.record({ scope, roles, grace_seconds: graceSeconds, changed_at: changedAt });
    },
  }),
  operatorCommand({
    path: 'factor-policy set',
    summary: 'Sets the users that must have a second factor.',
    details: 'It applies to sign-ins: sessions that exist go on.',
    arguments: { scope: POLICY_SCOPE_FORM },
    options: {
      roles: { value: 'roles', help: 'with the scope roles: 1 to 32 names, separated by commas' },
      'grace-seconds': {
        value: 'seconds',
        help: 'how long a user can sign in without a factor, 0 to 31536000 (default: 0)',
      },
      ...REASON,
    },
    async run({ deps, actor, call }, { args: { scope }, options, output }) {
      const roles = options.roles.split(',').filter((role) => role !== '');
      const graceSeconds = secondsOf(options['grace-seconds']);
      await setFactorPolicy(deps, { actor, scope, roles, graceSeconds, reason: options.reason }, call);
      output.message('the policy is set');
    },
  }),
];

function secondsOf(text: string): number {
  if (/^\d{0,9}$/.test(text)) return Number(text);
  throw new OperatorError('--grace-seconds must be 0 to 31536000');
}

export function factorRow({ id, kind, name, createdAt, lastUsedAt, backedUp }: Factor): Row {
  return { id, kind, name, created_at: createdAt, last_used_at: lastUsedAt, backed_up: backedUp };
}
