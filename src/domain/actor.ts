import { subjectName } from './principal.ts';

/** The subject of a change to another's object. */
export type Actor =
  | {
      kind: 'user';
      userId: string;
      sessionId: string;
      /** The number of the session's refresh token at the time when the access token was made. */
      refreshCounter: number;
      /** The change requires a re-authentication within so many seconds. */
      reauthenticatedWithin?: number;
    }
  /** A service without an account and a key is denied every change. */
  | { kind: 'service'; name: string; serviceAccountId: string | null; keyId: string | null }
  /** A person at the command line with the database's password. No rule of roles applies. */
  | { kind: 'operator'; name: string };

/** For changes that a stolen access token must not allow. Services and operators have no password. */
export function requireReauthentication(actor: Actor, withinSeconds: number): Actor {
  return actor.kind === 'user' ? { ...actor, reauthenticatedWithin: withinSeconds } : actor;
}

/** `user:<id>`, `service:<name>` or `operator:<name>`. */
export function actorName(actor: Actor): string {
  return actor.kind === 'operator' ? `operator:${actor.name}` : subjectName(actor);
}
