// The parser, the help and docs/reference/cli.md come from this table.
import { AUDIT_COMMANDS } from './audit.ts';
import type { Command } from './command.ts';
import { CONFIG_COMMANDS } from './config.ts';
import { FACTOR_POLICY_COMMANDS } from './factors.ts';
import { KEY_COMMANDS } from './keys.ts';
import { LIMIT_COMMANDS } from './limits.ts';
import { OUTBOX_COMMANDS } from './outbox.ts';
import { PROCESS_COMMANDS } from './process-commands.ts';
import { ROLE_COMMANDS } from './roles.ts';
import { SERVICE_COMMANDS } from './services.ts';
import { USER_COMMANDS } from './users.ts';

export const COMMANDS: Command[] = [
  ...PROCESS_COMMANDS,
  ...USER_COMMANDS,
  ...ROLE_COMMANDS,
  ...FACTOR_POLICY_COMMANDS,
  ...SERVICE_COMMANDS,
  ...KEY_COMMANDS,
  ...AUDIT_COMMANDS,
  ...OUTBOX_COMMANDS,
  ...LIMIT_COMMANDS,
  ...CONFIG_COMMANDS,
];

export const COMMAND_GROUPS: Record<string, string> = {
  config: 'The configuration of this environment.',
  users: 'User accounts, and the first administrator.',
  roles: 'Roles and the roles that they imply.',
  'factor-policy': 'The users that must have a second factor.',
  services: 'Service accounts and their API keys.',
  keys: 'Signing keys of access tokens, and the master key that encrypts them and the TOTP secrets.',
  audit: 'The audit trail and its verification.',
  outbox: 'E-mails and audit events that wait for a worker, and dead letters.',
  limits: 'Counted attempts of accounts and networks, and their limits.',
};
