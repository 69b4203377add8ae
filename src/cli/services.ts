import {
  deleteServiceAccount,
  disableServiceAccount,
  enableServiceAccount,
} from '../admin/administer-service-account.ts';
import { createApiKey } from '../admin/create-api-key.ts';
import { createServiceAccount } from '../admin/create-service-account.ts';
import { grantRole } from '../admin/grant-role.ts';
import { listApiKeys } from '../admin/list-api-keys.ts';
import { revokeApiKey } from '../admin/revoke-api-key.ts';
import { revokeRole } from '../admin/revoke-role.ts';
import { isUuid } from '../domain/uuid.ts';
import { OperatorError } from '../process/operator-error.ts';
import type { ApiKey, ServiceAccount } from '../store/service-accounts.ts';
import { assertRole } from './assert-role.ts';
import type { Command } from './command.ts';
import type { Operator } from './operator.ts';
import { operatorCommand, REASON } from './operator-command.ts';
import type { Output } from './output.ts';
import { parseTime } from './parse-time.ts';

const PAGE = 1_000;
/** `services list` and `doctor` report an API key this long before it expires. */
export const KEY_EXPIRY_NOTICE_MS = 30 * 86_400_000;

const SERVICE = { service: 'name or ID of the service account' } as const;
const UNTIL = { until: { value: 'time', help: 'end of the grant, such as 2030-01-31T12:00:00Z' } } as const;

export const SERVICE_COMMANDS: Command[] = [
  operatorCommand({
    path: 'services list',
    summary: 'Lists all service accounts by name, with the first API key of each that expires within 30 days.',
    run: (operator, { output }) => showServices(operator, output),
  }),
  operatorCommand({
    path: 'services create',
    summary: 'Creates a service account.',
    arguments: { name: 'name of the service account' },
    options: {
      description: { value: 'text', help: 'purpose of the service account' },
      role: { value: 'role', help: 'role to grant' },
      ...UNTIL,
      ...REASON,
    },
    run: addService,
  }),
  operatorCommand({
    path: 'services keys',
    summary: 'Lists all API keys of a service account, the oldest first, with their state and last use.',
    arguments: SERVICE,
    run: (operator, { args, output }) => showKeys(operator, args.service, output),
  }),
  operatorCommand({
    path: 'services create-key',
    summary: 'Creates an API key and prints it once.',
    details: 'Without --until the key expires in 365 days, or in API_KEY_MAX_DAYS if that is less.',
    arguments: SERVICE,
    options: {
      name: { value: 'name', isRequired: true, help: 'name of the key' },
      until: { value: 'time', help: 'expiry of the key, such as 2030-01-31' },
      ...REASON,
    },
    run: addKey,
  }),
  operatorCommand({
    path: 'services revoke-key',
    summary: 'Revokes an API key and its tokens within one second.',
    arguments: { key: 'ID of the API key' },
    options: REASON,
    async run({ deps, actor, call }, { args, options: { reason }, output }) {
      await revokeApiKey(deps, { actor, apiKeyId: args.key, reason }, call);
      output.message(`${args.key} is revoked`);
    },
  }),
  operatorCommand({
    path: 'services grant',
    summary: 'Grants a role to a service account.',
    arguments: { ...SERVICE, role: 'name of the role' },
    options: { ...UNTIL, ...REASON },
    run: (operator, { args, options: { until, reason }, output }) =>
      changeService(operator, args.service, output, async (serviceAccountId) => {
        const expiresAt = parseTime('--until', until);
        const grant = { actor: operator.actor, userId: '', serviceAccountId, role: args.role, reason, expiresAt };
        await grantRole(operator.deps, grant, operator.call);
        return `now has the role ${args.role}${until === '' ? '' : ` until ${until}`}`;
      }),
  }),
  operatorCommand({
    path: 'services revoke',
    summary: 'Revokes a role from a service account.',
    arguments: { ...SERVICE, role: 'name of the role' },
    options: REASON,
    run: (operator, { args, options: { reason }, output }) =>
      changeService(operator, args.service, output, async (serviceAccountId) => {
        const grant = { actor: operator.actor, userId: '', serviceAccountId, role: args.role, reason };
        await revokeRole(operator.deps, grant, operator.call);
        return `no longer has the role ${args.role}`;
      }),
  }),
  changeCommand('disable', 'Rejects the API keys and tokens of a service account.', disableServiceAccount),
  changeCommand('enable', 'Accepts the API keys of a disabled service account again.', enableServiceAccount),
  changeCommand('delete', 'Deletes a service account and its API keys permanently.', deleteServiceAccount),
];

type Change = (
  deps: Operator['deps'],
  input: { actor: Operator['actor']; serviceAccountId: string; reason: string },
  call: Operator['call'],
) => Promise<unknown>;

function changeCommand(name: string, summary: string, change: Change): Command {
  return operatorCommand({
    path: `services ${name}`,
    summary,
    arguments: SERVICE,
    options: REASON,
    run: (operator, { args, options: { reason }, output }) =>
      changeService(operator, args.service, output, async (serviceAccountId) => {
        await change(operator.deps, { actor: operator.actor, serviceAccountId, reason }, operator.call);
        return `is ${name}d`;
      }),
  });
}

async function changeService(
  operator: Operator,
  service: string,
  output: Output,
  change: (serviceAccountId: string) => Promise<string>,
): Promise<void> {
  output.message(`${service} ${await change(await idOf(operator, service))}`);
}

async function showServices({ deps }: Operator, output: Output): Promise<void> {
  const accounts: ServiceAccount[] = [];
  for (let page: ServiceAccount[] | null = null; page?.length !== 0; accounts.push(...page)) {
    page = await deps.store.serviceAccounts.list(accounts.at(-1)?.name ?? '', PAGE);
  }
  const soon = new Date(deps.now().getTime() + KEY_EXPIRY_NOTICE_MS);
  const expiring = Map.groupBy(await deps.store.serviceAccounts.keysThatExpireBy(soon), (key) => key.serviceAccountId);
  output.rows(
    accounts.map(({ id, name, roles, disabledAt, createdAt, createdBy, description }) => ({
      name,
      state: disabledAt === null ? 'active' : 'disabled',
      roles,
      disabled_at: disabledAt,
      key_expires_at: expiring.get(id)?.[0]?.expiresAt ?? null,
      created_at: createdAt,
      created_by: createdBy,
      description,
      id,
    })),
    'no service accounts',
  );
}

type NewService = {
  args: { name: string };
  options: { description: string; role: string; until: string; reason: string };
  output: Output;
};

async function addService({ deps, actor, call }: Operator, { args, options, output }: NewService): Promise<void> {
  const { description, reason, role, until } = options;
  const expiresAt = parseTime('--until', until);
  await assertRole(deps, role);
  const serviceAccountId = await createServiceAccount(deps, { actor, name: args.name, description, reason }, call);
  const grant = { actor, userId: '', serviceAccountId, role, reason, expiresAt };
  if (role !== '') await grantRole(deps, grant, call);
  output.record({ id: serviceAccountId, name: args.name });
}

type NewKey = {
  args: { service: string };
  options: { name: string; until: string; reason: string };
  output: Output;
};

async function addKey(operator: Operator, { args, options, output }: NewKey): Promise<void> {
  const { deps, actor, call } = operator;
  const { name, reason, until } = options;
  const serviceAccountId = await idOf(operator, args.service);
  const input = { actor, serviceAccountId, name, reason, expiresAt: parseTime('--until', until) };
  const { id, key, expiresAt } = await createApiKey(deps, input, call);
  output.record({ id, key, expires_at: expiresAt });
  output.message('Store the key now: only its hash is kept here.');
}

async function showKeys(operator: Operator, service: string, output: Output): Promise<void> {
  const account = await accountOf(operator, service);
  const keys = await listApiKeys(operator.deps, { serviceAccountId: account.id });
  const now = operator.deps.now();
  output.rows(
    keys.map((key) => ({
      id: key.id,
      name: key.name,
      state: stateOf(key, account, now),
      created_at: key.createdAt,
      created_by: key.createdBy,
      expires_at: key.expiresAt,
      revoked_at: key.revokedAt,
      last_used_at: key.lastUsedAt,
    })),
    'no keys',
  );
}

/** The reason for which the service rejects the key, or `active`. */
function stateOf({ revokedAt, expiresAt }: ApiKey, { disabledAt }: ServiceAccount, now: Date): string {
  if (revokedAt !== null) return 'revoked';
  if (expiresAt <= now) return 'expired';
  return disabledAt === null ? 'active' : 'disabled';
}

async function idOf(operator: Operator, service: string): Promise<string> {
  return (await accountOf(operator, service)).id;
}

async function accountOf({ deps }: Operator, service: string): Promise<ServiceAccount> {
  const { serviceAccounts } = deps.store;
  const byId = isUuid(service) ? await serviceAccounts.byId(service) : null;
  const account = byId ?? (await serviceAccounts.byName(service));
  if (!account) throw new OperatorError(`service account ${service} does not exist`);
  return account;
}
