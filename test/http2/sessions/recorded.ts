import sessions from './sessions.json' with { type: 'json' };

/** The bytes that a real client has sent on one connection, in base64. */
export type RecordedSession = { client: string; name: string; bytes: string };

export const RECORDED: readonly RecordedSession[] = sessions;
