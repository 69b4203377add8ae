import { sql } from 'kysely';
import type { Acr } from '../domain/acr.ts';
import type { AudienceChoice } from '../domain/audience.ts';
import type { Effect } from '../domain/effect.ts';
import type { Authentication } from '../domain/reauthentication.ts';
import type { SessionEndReason } from '../domain/session-end.ts';
import { endSessions } from './end-sessions.ts';
import { factorsOf } from './factor-rows.ts';
import { type FactorUse, factorOf, redeemChallenge, useFactor } from './factor-uses.ts';
import { type Adding, type AddingFailure, insertFactor } from './factors.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import {
  authenticationOf,
  type Grant,
  type Renewal,
  renewSession,
  type Session,
  type SessionLocation,
  sessionById,
} from './session-rows.ts';
import { undoable } from './undoable.ts';
import {
  type AccountOwner,
  lockOwner,
  lockReauthenticatedOwner,
  lockUser,
  type ReauthenticatedOwner,
} from './user-locks.ts';

export type NewSession = {
  id: string;
  userId: string;
  passwordEpoch: number;
  expiresAt: Date;
  /** The latest time that use can extend `expiresAt` to. */
  endsBy: Date;
  location: SessionLocation;
  /** Null for a password. `authenticatedAt` is the time of the authentication at the provider, if it reports one. */
  identity: { id: string; authenticatedAt: Date | null } | null;
  audiences: AudienceChoice;
  acr: Acr;
  amr: string[];
  /** Null for a sign-in in one step. */
  secondStep: SecondStep | null;
};

/** The use of a factor, or the first factor of the account. */
export type SecondStep = { challengeId: string; use: FactorUse } | Adding;

/** The account has changed since the caller read it, or the proof has been used. */
export type SignInFailure = AddingFailure | 'factor';

export type SessionSummary = { id: string; createdAt: Date; lastUsedAt: Date; expiresAt: Date } & SessionLocation;

/** A response has room for this many. */
const MAX_LISTED = 100;
const lastUsedAt = sql<Date>`coalesce(rotated_at, created_at)`;

export type Sessions = ReturnType<typeof createSessions>;

export function createSessions(db: Db, newId: () => string, clock: () => Date) {
  return {
    /**
     * The lock on the user's row serializes this with changes of the account: either they see this session, or this
     * sees them.
     * @param options `maxLive` bounds the user's live sessions: the least recently used ones end. `effects` receives
     *   their ids
     */
    async create(
      session: NewSession,
      { maxLive, at, effects }: { maxLive: number; at: Date; effects: (endedIds: string[]) => Effect[] },
    ): Promise<Grant | SignInFailure> {
      const { id, userId, identity, location, secondStep } = session;
      return undoable<Grant, SignInFailure>(db, async (trx, undo) => {
        if (!(await lockUser(trx, userId, session.passwordEpoch))) undo('account');
        if (identity && !(await hasIdentity(trx, userId, identity.id))) undo('account');
        if (secondStep) await completeSecondStep(trx, userId, secondStep, { at, undo });
        else if ((await factorsOf(trx, userId)).length > 0) undo('account');
        await trx
          .insertInto('sessions')
          .values({
            id,
            user_id: userId,
            created_at: at,
            expires_at: session.expiresAt,
            ends_by: session.endsBy,
            address: location.address,
            user_agent: location.userAgent,
            identity_id: identity?.id ?? null,
            provider_authenticated_at: identity?.authenticatedAt ?? null,
            audiences: session.audiences,
            acr: session.acr,
            amr: session.amr,
            // A factor was used now. A provider may have authenticated the user long before.
            authenticated_at: secondStep ? null : (identity?.authenticatedAt ?? null),
            factor_ids: secondStep ? factorIdsOf(secondStep) : [],
          })
          .execute();
        const endedIds = await endSessions(trx, { at, reason: 'too_many_sessions' }, (eb) =>
          eb(
            'id',
            'in',
            eb
              .selectFrom('sessions')
              .select('id')
              .where('user_id', '=', userId)
              .where('ended_at', 'is', null)
              .where('expires_at', '>', at)
              .where('id', '!=', id)
              .orderBy(lastUsedAt, 'desc')
              .offset(maxLive - 1),
          ),
        );
        await writeEffects(trx, newId, { at, effects: effects(endedIds) });
        return (await sessionById(trx, id, at)) ?? undo('account');
      });
    },

    async byId(id: string, signal?: AbortSignal): Promise<Session | null> {
      signal?.throwIfAborted();
      return sessionById(db, id, clock());
    },

    async authenticationOf(userId: string, sessionId: string, signal?: AbortSignal): Promise<Authentication | null> {
      signal?.throwIfAborted();
      return authenticationOf(db, userId, sessionId);
    },

    /** The session goes on with the strength of the factor. */
    async stepUp(
      owner: AccountOwner,
      step: { challengeId: string; use: FactorUse },
      renewal: Renewal,
      { at, effects }: { at: Date; effects: Effect[] },
    ): Promise<Grant | SignInFailure> {
      return undoable<Grant, SignInFailure>(db, async (trx, undo) => {
        if (!(await lockOwner(trx, owner))) undo('account');
        await completeSecondStep(trx, owner.userId, step, { at, undo });
        const grant = (await renewSession(trx, renewal, at)) ?? undo('account');
        await writeEffects(trx, newId, { at, effects });
        return grant;
      });
    },

    /** Null when the owner may no longer change the account. */
    async reauthenticate(
      owner: ReauthenticatedOwner,
      renewal: Renewal,
      { at, effects }: { at: Date; effects: Effect[] },
    ): Promise<Grant | null> {
      return db.transaction().execute(async (trx) => {
        if (!(await lockReauthenticatedOwner(trx, owner))) return null;
        const grant = await renewSession(trx, renewal, at);
        if (grant) await writeEffects(trx, newId, { at, effects });
        return grant;
      });
    },

    /** False when the session has ended, its current token has another number, or it lacks one of the audiences. */
    async narrow(id: string, counter: number, audiences: string[]): Promise<boolean> {
      const narrowed = await db
        .updateTable('sessions')
        .set({ audiences })
        .where('id', '=', id)
        .where('counter', '=', sql<string>`${counter}`)
        .where('ended_at', 'is', null)
        .where(sql<boolean>`(audiences IS NULL OR ${audiences}::text[] <@ audiences)`)
        .executeTakeFirst();
      return narrowed.numUpdatedRows === 1n;
    },

    /** False when the session had ended before. */
    async end(
      id: string,
      reason: SessionEndReason,
      { at, effects }: { at: Date; effects: Effect[] },
    ): Promise<boolean> {
      return db.transaction().execute(async (trx) => {
        const ended = await endSessions(trx, { at, reason }, (eb) => eb('id', '=', id));
        if (ended.length === 0) return false;
        await writeEffects(trx, newId, { at, effects });
        return true;
      });
    },

    /** The most recently used first. */
    async ofUser(userId: string, now: Date, signal?: AbortSignal): Promise<SessionSummary[]> {
      signal?.throwIfAborted();
      const rows = await db
        .selectFrom('sessions')
        .select(['id', 'created_at', 'expires_at', 'address', 'user_agent'])
        .select(lastUsedAt.as('last_used_at'))
        .where('user_id', '=', userId)
        .where('ended_at', 'is', null)
        .where('expires_at', '>', now)
        .orderBy('last_used_at', 'desc')
        .limit(MAX_LISTED)
        .execute();
      return rows.map((row) => ({
        id: row.id,
        createdAt: row.created_at,
        lastUsedAt: row.last_used_at,
        expiresAt: row.expires_at,
        address: row.address,
        userAgent: row.user_agent,
      }));
    },

    /** Returns how many; null when the owner may no longer change the account. */
    async endOfOwner(
      owner: ReauthenticatedOwner,
      which: { only: string } | { allBut: string },
      { at, effects }: { at: Date; effects: (endedIds: string[]) => Effect[] },
    ): Promise<number | null> {
      return db.transaction().execute(async (trx) => {
        if (!(await lockReauthenticatedOwner(trx, owner))) return null;
        const endedIds = await endSessions(trx, { at, reason: 'revoked' }, (eb) =>
          eb.and([
            eb('user_id', '=', owner.userId),
            eb('expires_at', '>', at),
            'only' in which ? eb('id', '=', which.only) : eb('id', '!=', which.allBut),
          ]),
        );
        await writeEffects(trx, newId, { at, effects: effects(endedIds) });
        return endedIds.length;
      });
    },
  };
}

async function hasIdentity(trx: Db, userId: string, id: string): Promise<boolean> {
  const row = await trx
    .selectFrom('identities')
    .select('id')
    .where('id', '=', id)
    .where('user_id', '=', userId)
    .executeTakeFirst();
  return row !== undefined;
}

/** For a transaction that has locked the user. */
async function completeSecondStep(
  trx: Db,
  userId: string,
  step: SecondStep,
  { at, undo }: { at: Date; undo: (word: SignInFailure) => never },
): Promise<void> {
  if ('factor' in step) {
    await insertFactor(trx, userId, step, { at, undo });
    return;
  }
  if (!(await useFactor(trx, step.use, at))) undo('factor');
  if (!(await redeemChallenge(trx, step.challengeId, at))) undo('challenge');
}

function factorIdsOf(step: SecondStep): string[] {
  const id = 'factor' in step ? step.factor.id : factorOf(step.use);
  return id === null ? [] : [id];
}
