import type { Db } from './postgres/database.ts';
import { isForeignKeyViolation } from './postgres/violation.ts';

export type OAuthFlow = {
  id: string;
  provider: string;
  redirectUri: string;
  /** The user who links an identity; null for a sign-in. */
  userId: string | null;
  reauthenticate: boolean;
};

export type OAuthFlows = ReturnType<typeof createOAuthFlows>;

const REMOVED_AT_ONCE = 100;

export function createOAuthFlows(db: Db) {
  return {
    /** Also removes some expired flows. False when the user who links was deleted. */
    async create(flow: OAuthFlow, { at, expiresAt }: { at: Date; expiresAt: Date }): Promise<boolean> {
      const row = {
        id: flow.id,
        provider: flow.provider,
        redirect_uri: flow.redirectUri,
        user_id: flow.userId,
        reauthenticate: flow.reauthenticate,
        created_at: at,
        expires_at: expiresAt,
      };
      try {
        await db.insertInto('oauth_flows').values(row).execute();
      } catch (error) {
        if (isForeignKeyViolation(error, 'oauth_flows_user_id_fkey')) return false;
        throw error;
      }
      await db
        .deleteFrom('oauth_flows')
        .where('id', 'in', (eb) =>
          eb
            .selectFrom('oauth_flows')
            .select('id')
            .where('expires_at', '<', at)
            .limit(REMOVED_AT_ONCE)
            .forUpdate()
            .skipLocked(),
        )
        .execute();
      return true;
    },

    /** Null unless the flow is unused and not expired. One of several parallel calls succeeds. */
    async redeem(id: string, at: Date): Promise<(OAuthFlow & { startedAt: Date }) | null> {
      const row = await db
        .updateTable('oauth_flows')
        .set({ used_at: at })
        .where('id', '=', id)
        .where('used_at', 'is', null)
        .where('expires_at', '>', at)
        .returning(['id', 'provider', 'redirect_uri', 'user_id', 'reauthenticate', 'created_at'])
        .executeTakeFirst();
      if (!row) return null;
      const { redirect_uri: redirectUri, user_id: userId, created_at: startedAt, ...rest } = row;
      return { ...rest, redirectUri, userId, startedAt };
    },
  };
}
