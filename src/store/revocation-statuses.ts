import type { RevocableToken, RevocationStatus } from '../domain/revocation-status.ts';
import type { Db } from './postgres/database.ts';

/** In the order of the tokens. */
export async function readRevocationStatuses(
  db: Db,
  tokens: RevocableToken[],
  { at, signal }: { at: Date; signal?: AbortSignal | undefined },
): Promise<RevocationStatus[]> {
  signal?.throwIfAborted();
  const roles = await db.selectFrom('roles').select(['name', 'epoch']).execute();
  const roleEpochs = new Map(roles.map(({ name, epoch }) => [name, epoch]));
  const rows = await db
    .selectFrom('sessions')
    .innerJoin('users', 'users.id', 'sessions.user_id')
    .select(['sessions.id', 'user_id', 'claims_epoch'])
    .where('sessions.id', 'in', [...new Set(tokens.map(({ sessionId }) => sessionId))])
    .where('ended_at', 'is', null)
    .where('ends_by', '>', at)
    .where('disabled_at', 'is', null)
    .execute();
  const keys = await db
    .selectFrom('api_keys')
    .innerJoin('service_accounts', 'service_accounts.id', 'api_keys.service_account_id')
    .select(['api_keys.id', 'service_account_id as user_id', 'claims_epoch'])
    .where('api_keys.id', 'in', [...new Set(tokens.map(({ sessionId }) => sessionId))])
    .where('revoked_at', 'is', null)
    .where('disabled_at', 'is', null)
    .execute();
  const live = new Map([...rows, ...keys].map((row) => [row.id, row]));
  return tokens.map(({ sessionId, userId, epoch, roles: held, rolesEpoch }) => {
    const session = live.get(sessionId);
    if (!session || session.user_id !== userId) return 'revoked';
    const isStale = epoch < session.claims_epoch || held.some((role) => rolesEpoch < (roleEpochs.get(role) ?? 0));
    return isStale ? 'stale' : 'active';
  });
}
