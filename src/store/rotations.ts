// Rotates the refresh tokens of sessions. Rotations that arrive together share one statement, which is one round trip
// and one commit for all of them.
import { CompiledQuery } from 'kysely';
import { gather } from '../async/gather.ts';
import type { AudienceChoice } from '../domain/audience.ts';
import type { AuditEvent } from '../domain/audit-event.ts';
import type { Db } from './postgres/database.ts';
import { PREPARED } from './postgres/prepared.ts';
import { isFaultOfData } from './postgres/violation.ts';
import { type Grant, type GrantRow, toGrant } from './session-rows.ts';
import { rolesCountAt } from './user-columns.ts';

export type Rotation = {
  sessionId: string;
  counter: number;
  requestId: string;
  idleSeconds: number;
  /** Narrows the session; null leaves it as it is. */
  audiences: AudienceChoice;
  allAudiences: string[];
  at: Date;
  event: AuditEvent;
};

export type Rotations = ReturnType<typeof createRotations>;

/** The gain is small above this number, and a statement must stay short. */
const MAX_SHARED = 64;
/** Longer than a statement usually takes. When a connection hangs, the next statement takes another one. */
const WAIT_MS = 20;

export function createRotations(db: Db, newId: () => string) {
  const rotateTogether = gather<Rotation, Grant | null | typeof ALONE>(
    { maxInputs: MAX_SHARED, waitMs: WAIT_MS },
    async (rotations) => {
      try {
        return await execute(SHARED, rotations);
      } catch (error) {
        if (rotations.length > 1 && isFaultOfData(error)) return rotations.map(() => ALONE);
        throw error;
      }
    },
  );

  async function execute(statement: string, rotations: Rotation[]): Promise<(Grant | null | typeof ALONE)[]> {
    const inputs = rotations.map((rotation, n) => ({ ...toInput(rotation), n, event_id: newId() }));
    const { rows } = await db.executeQuery<Row>(CompiledQuery.raw(statement, [JSON.stringify(inputs)]));
    const found = new Map(rows.map((row) => [row.n, row]));
    return rotations.map((_, n) => {
      const row = found.get(n);
      if (!row) return null;
      return row.session_id === null ? ALONE : toGrant(row);
    });
  }

  return {
    /**
     * One of several parallel calls succeeds. Null when the token is not the current one of a live session, or the
     * session lacks one of the audiences.
     */
    async rotate(rotation: Rotation, signal?: AbortSignal): Promise<Grant | null> {
      const shared = await rotateTogether(rotation, signal);
      if (shared !== ALONE) return shared;
      const [alone = null] = await execute(WAITING, [rotation]);
      return alone === ALONE ? null : alone;
    },
  };
}

/** For a rotation that would delay others or make them fail. */
const ALONE = Symbol('alone');

type Row = { n: number } & (GrantRow | { session_id: null });

function toInput(rotation: Rotation) {
  return {
    session_id: rotation.sessionId,
    counter: rotation.counter,
    request_id: rotation.requestId,
    address: rotation.event.origin.address,
    user_agent: rotation.event.origin.userAgent,
    audiences: rotation.audiences,
    all_audiences: rotation.allAudiences,
    idle_seconds: rotation.idleSeconds,
    at: rotation.at,
    roles_at: rolesCountAt(rotation.at),
    event: rotation.event,
  };
}

const SHARED = statement('SKIP LOCKED');
const WAITING = statement('');

/**
 * Each row of the input is a rotation with the conditions of its own. If two have the same session, one succeeds.
 * SKIP LOCKED keeps a session that another transaction holds from delaying the others, and two statements with the same
 * sessions from a deadlock. Such a session is returned with null, and waits for its lock alone.
 */
function statement(whenLocked: 'SKIP LOCKED' | ''): string {
  return `
    WITH input AS MATERIALIZED (
      SELECT * FROM json_to_recordset($1) AS input (
        n integer, session_id uuid, counter bigint, request_id text, address text, user_agent text, audiences text[],
        all_audiences text[], idle_seconds integer, at timestamptz, roles_at timestamptz, event_id uuid, event jsonb)
    ), locked AS (
      SELECT sessions.id FROM input
      JOIN sessions ON sessions.id = input.session_id AND sessions.counter = input.counter
      FOR NO KEY UPDATE OF sessions ${whenLocked}
    ), rotated AS (
      UPDATE sessions
      SET counter = sessions.counter + 1, rotated_at = at, rotation_request_id = request_id,
        address = input.address, user_agent = input.user_agent,
        expires_at = least(at + make_interval(secs => idle_seconds), ends_by),
        audiences = coalesce(input.audiences, sessions.audiences)
      FROM input, users
      WHERE sessions.id = session_id AND sessions.id IN (SELECT id FROM locked) AND sessions.counter = input.counter
        AND ended_at IS NULL AND expires_at > at AND users.id = user_id AND disabled_at IS NULL
        AND (sessions.audiences IS NULL
          OR coalesce(input.audiences <@ sessions.audiences, sessions.audiences && all_audiences))
      RETURNING n, at, roles_at, event_id, event, session_id, sessions.counter, expires_at, sessions.audiences,
        acr, amr, coalesce(authenticated_at, sessions.created_at) AS authenticated_at, users.id, email, full_name, email_verified_at, disabled_at, users.created_at, claims_epoch
    ), audited AS (
      INSERT INTO outbox (id, topic, payload, created_at)
      SELECT event_id, 'audit', event || jsonb_build_object('userId', id), at FROM rotated
    )
    SELECT input.n, rotated.session_id, rotated.counter, expires_at, rotated.audiences, acr, amr, authenticated_at, id,
      email, full_name, email_verified_at, disabled_at, created_at, claims_epoch,
      roles_of_session(id, rotated.roles_at, acr) AS roles,
      (SELECT epoch FROM roles_epoch) AS roles_epoch,
      (SELECT min(user_roles.expires_at) FROM user_roles
        WHERE user_id = rotated.id AND user_roles.expires_at > rotated.roles_at) AS roles_until
    FROM input LEFT JOIN rotated USING (n)
    WHERE rotated.id IS NOT NULL OR (
      NOT EXISTS (SELECT FROM locked WHERE locked.id = input.session_id)
      AND EXISTS (SELECT FROM sessions WHERE sessions.id = input.session_id AND sessions.counter = input.counter))
    ${PREPARED}`;
}
