import type { Acr } from '../domain/acr.ts';
import type { AudienceChoice } from '../domain/audience.ts';
import type { ChallengePurpose } from '../domain/challenge.ts';
import type { Effect } from '../domain/effect.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import { isForeignKeyViolation } from './postgres/violation.ts';

/** The identity of the first step, when an identity provider authenticated the user. */
export type ChallengeIdentity = { id: string; provider: string; authenticatedAt: Date | null };

export type Challenge = {
  id: string;
  purpose: ChallengePurpose;
  /** Null until the passkey of a `passkey_sign_in` names the user. */
  userId: string | null;
  /** Null for a sign-in. */
  sessionId: string | null;
  /** At the time of the first step. */
  passwordEpoch: number | null;
  network: string;
  audiences: AudienceChoice;
  /** Methods of the first step. */
  amr: string[];
  identity: ChallengeIdentity | null;
  /** A factor to be added: its name, and the encrypted secret of an authenticator app. */
  factorName: string | null;
  totpSecret: Buffer | null;
  /** Whether the sign-in must add a factor. */
  enrols: boolean;
  /** The strength that a step-up must reach. */
  acr: Acr;
};

export type Challenges = ReturnType<typeof createChallenges>;

/** Later codes are rejected without a comparison. */
const MAX_WRONG_CODES = 5;

export function createChallenges(db: Db, newId: () => string) {
  return {
    /** False when the user was deleted meanwhile. */
    async create(
      challenge: Challenge,
      { at, expiresAt, effects }: { at: Date; expiresAt: Date; effects: Effect[] },
    ): Promise<boolean> {
      const { identity } = challenge;
      const row = {
        id: challenge.id,
        purpose: challenge.purpose,
        user_id: challenge.userId,
        session_id: challenge.sessionId,
        password_epoch: challenge.passwordEpoch,
        network: challenge.network,
        audiences: challenge.audiences,
        amr: challenge.amr,
        identity_id: identity?.id ?? null,
        provider: identity?.provider ?? null,
        provider_authenticated_at: identity?.authenticatedAt ?? null,
        factor_name: challenge.factorName,
        totp_secret: challenge.totpSecret,
        enrols: challenge.enrols,
        acr: challenge.acr,
        created_at: at,
        expires_at: expiresAt,
      };
      try {
        await db.transaction().execute(async (trx) => {
          await trx.insertInto('challenges').values(row).execute();
          await writeEffects(trx, newId, { at, effects });
        });
        return true;
      } catch (error) {
        if (isForeignKeyViolation(error, 'challenges_user_id_fkey')) return false;
        throw error;
      }
    },

    /** Null unless the challenge is unused and has not expired. */
    async byId(id: string, at: Date, signal?: AbortSignal): Promise<Challenge | null> {
      signal?.throwIfAborted();
      const row = await db
        .selectFrom('challenges')
        .selectAll()
        .where('id', '=', id)
        .where('used_at', 'is', null)
        .where('expires_at', '>', at)
        .executeTakeFirst();
      if (!row) return null;
      const { identity_id: identityId, provider } = row;
      return {
        id: row.id,
        purpose: row.purpose,
        userId: row.user_id,
        sessionId: row.session_id,
        passwordEpoch: row.password_epoch,
        network: row.network,
        audiences: row.audiences,
        amr: row.amr,
        identity:
          identityId === null || provider === null
            ? null
            : { id: identityId, provider, authenticatedAt: row.provider_authenticated_at },
        factorName: row.factor_name,
        totpSecret: row.totp_secret,
        enrols: row.enrols,
        acr: row.acr,
      };
    },

    /**
     * Counts a code before it is compared, so that parallel calls cannot try more of them.
     * @returns false when the challenge accepts no further code
     */
    async countCode(id: string): Promise<boolean> {
      const counted = await db
        .updateTable('challenges')
        .set((eb) => ({ wrong_codes: eb('wrong_codes', '+', 1) }))
        .where('id', '=', id)
        .where('wrong_codes', '<', MAX_WRONG_CODES)
        .executeTakeFirst();
      return counted.numUpdatedRows === 1n;
    },
  };
}
