/** Who changes something that is not their own. */
export type Actor =
  | {
      kind: 'user';
      userId: string;
      sessionId: string;
      /** The number of the session's refresh token when the access token of the call was made. */
      refreshCounter: number;
      /** The change requires that the session was re-authenticated within so many seconds. */
      reauthenticatedWithin?: number;
    }
  /** Without an account and its key, the service is denied every change. */
  | { kind: 'service'; name: string; serviceAccountId: string | null; keyId: string | null }
  /** At the command line, with the database's password: nobody asks what they may. */
  | { kind: 'operator'; name: string };

/** For changes that a thief of an access token must not make. Services and operators have no password to give. */
export function requireReauthentication(actor: Actor, withinSeconds: number): Actor {
  return actor.kind === 'user' ? { ...actor, reauthenticatedWithin: withinSeconds } : actor;
}

/** As audit events name them: `user:<id>`, `service:<name>`, `operator:<login>`. */
export function actorName(actor: Actor): string {
  return `${actor.kind}:${actor.kind === 'user' ? actor.userId : actor.name}`;
}
