// `services`: accounts of services, and their keys.
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
import type { ServiceAccount } from '../store/service-accounts.ts';
import { assertRole, type Operator } from './operator.ts';
import type { Output } from './output.ts';
import { parseTime } from './parse-time.ts';

const PAGE = 1_000;
/** So long before a key expires, `services list` and `doctor` name it. */
export const KEY_EXPIRY_NOTICE_MS = 30 * 86_400_000;

export type ServicesOptions = { reason: string; until: string; name: string; role: string; description: string };

export async function showServices({ deps }: Operator, output: Output): Promise<void> {
  const accounts: ServiceAccount[] = [];
  for (let page: ServiceAccount[] | null = null; page?.length !== 0; accounts.push(...page)) {
    page = await deps.store.serviceAccounts.list(accounts.at(-1)?.name ?? '', PAGE);
  }
  const soon = new Date(deps.now().getTime() + KEY_EXPIRY_NOTICE_MS);
  const expiring = Map.groupBy(await deps.store.serviceAccounts.keysThatExpireBy(soon), (key) => key.serviceAccountId);
  output.rows(
    accounts.map(({ id, name, roles, disabledAt, createdBy, description }) => ({
      name,
      roles,
      disabled_at: disabledAt,
      // The first key to expire within the time of notice.
      key_expires_at: expiring.get(id)?.[0]?.expiresAt ?? null,
      created_by: createdBy,
      description,
      id,
    })),
    'no service accounts',
  );
}

export async function addService(operator: Operator, name: string, options: ServicesOptions, output: Output) {
  const { deps, actor, call } = operator;
  const { description, reason, role, until } = options;
  const expiresAt = parseTime('--until', until);
  await assertRole(deps, role);
  const serviceAccountId = await createServiceAccount(deps, { actor, name, description, reason }, call);
  const grant = { actor, userId: '', serviceAccountId, role, reason, expiresAt };
  if (role !== '') await grantRole(deps, grant, call);
  output.record({ id: serviceAccountId, name });
}

/** Prints the key, which nobody can tell again. */
export async function addKey(operator: Operator, service: string, options: ServicesOptions, output: Output) {
  const { deps, actor, call } = operator;
  const { name, reason, until } = options;
  const serviceAccountId = await idOf(operator, service);
  const input = { actor, serviceAccountId, name, reason, expiresAt: parseTime('--until', until) };
  const { id, key, expiresAt } = await createApiKey(deps, input, call);
  output.record({ id, key, expires_at: expiresAt });
  output.say('Keep the key now: only its hash is stored.');
}

export async function showKeys(operator: Operator, service: string, output: Output): Promise<void> {
  const keys = await listApiKeys(operator.deps, { serviceAccountId: await idOf(operator, service) });
  output.rows(
    keys.map(({ id, name, createdAt, expiresAt, revokedAt, lastUsedAt }) => ({
      id,
      name,
      created_at: createdAt,
      expires_at: expiresAt,
      revoked_at: revokedAt,
      last_used_at: lastUsedAt,
    })),
    'no keys',
  );
}

export async function dropKey({ deps, actor, call }: Operator, apiKeyId: string, reason: string, output: Output) {
  await revokeApiKey(deps, { actor, apiKeyId, reason }, call);
  output.say(`${apiKeyId} opens nothing any more`);
}

type Work = (operator: Operator, serviceAccountId: string, options: ServicesOptions) => Promise<string>;

/** By the word of the command; each gives the sentence for what it has done. */
export const SERVICE_WORK: Record<string, Work> = {
  async disable({ deps, actor, call }, serviceAccountId, { reason }) {
    await disableServiceAccount(deps, { actor, serviceAccountId, reason }, call);
    return 'is disabled';
  },
  async enable({ deps, actor, call }, serviceAccountId, { reason }) {
    await enableServiceAccount(deps, { actor, serviceAccountId, reason }, call);
    return 'may call';
  },
  async delete({ deps, actor, call }, serviceAccountId, { reason }) {
    await deleteServiceAccount(deps, { actor, serviceAccountId, reason }, call);
    return 'is deleted';
  },
  async grant({ deps, actor, call }, serviceAccountId, { reason, role, until }) {
    const grant = { actor, userId: '', serviceAccountId, role, reason, expiresAt: parseTime('--until', until) };
    await grantRole(deps, grant, call);
    return `holds ${role}${until === '' ? '' : ` until ${until}`}`;
  },
  async revoke({ deps, actor, call }, serviceAccountId, { reason, role }) {
    await revokeRole(deps, { actor, userId: '', serviceAccountId, role, reason }, call);
    return `does not hold ${role} any more`;
  },
};

export async function workOnService(
  operator: Operator,
  work: Work,
  service: string,
  options: ServicesOptions,
  output: Output,
): Promise<void> {
  output.say(`${service} ${await work(operator, await idOf(operator, service), options)}`);
}

/** By name, or by id. */
async function idOf({ deps }: Operator, service: string): Promise<string> {
  const { serviceAccounts } = deps.store;
  const byId = isUuid(service) ? await serviceAccounts.byId(service) : null;
  const found = byId ?? (await serviceAccounts.byName(service));
  if (!found) throw new OperatorError(`there is no service account ${service}`);
  return found.id;
}
