import type { ColumnType, Generated } from 'kysely';
import type { Effect } from '../../domain/effect.ts';
import type { Email } from '../../domain/email.ts';
import type { KeyState } from '../../domain/key-schedule.ts';
import type { SessionEndReason } from '../../domain/session-end.ts';
import type { SigningAlgorithm } from '../../domain/signing-algorithm.ts';

export type Schema = {
  users: {
    id: string;
    email: Email;
    full_name: string;
    external_id: string | null;
    email_verified_at: Date | null;
    password_hash: string | null;
    password_epoch: Generated<number>;
    claims_epoch: Generated<number>;
    disabled_at: Date | null;
    created_at: Date;
  };
  roles: {
    name: string;
    description: string;
    granter: string;
    epoch: Generated<number>;
    created_at: Generated<Date>;
  };
  role_implications: { role: string; implies: string };
  user_roles: {
    user_id: string;
    role: string;
    granted_at: Date;
    granted_by: string | null;
    reason: Generated<string>;
    expires_at: Date | null;
  };
  password_resets: {
    id: string;
    user_id: string;
    password_epoch: number;
    created_at: Date;
    expires_at: Date;
    used_at: Date | null;
  };
  email_verifications: {
    id: string;
    user_id: string;
    email: Email;
    account_email: Email;
    email_change_id: string | null;
    password_epoch: number;
    created_at: Date;
    expires_at: Date;
    used_at: Date | null;
  };
  network_confirmations: {
    user_id: string;
    id: string;
    password_epoch: number;
    expires_at: Date;
    used_at: Date | null;
  };
  email_changes: {
    id: string;
    user_id: string;
    old_email: Email;
    old_email_verified_at: Date | null;
    asked_at: Date;
    changed_at: Date | null;
    ended_at: Date | null;
  };
  identities: {
    id: string;
    user_id: string;
    provider: string;
    issuer: string;
    subject: string;
    created_at: Date;
    last_used_at: Date;
  };
  oauth_flows: {
    id: string;
    provider: string;
    redirect_uri: string;
    user_id: string | null;
    reauthenticate: Generated<boolean>;
    created_at: Date;
    expires_at: Date;
    used_at: Date | null;
  };
  sessions: {
    id: string;
    user_id: string;
    /** pg returns a bigint as text. */
    counter: ColumnType<string, number | undefined, number>;
    rotated_at: Date | null;
    rotation_request_id: Generated<string>;
    created_at: Date;
    expires_at: Date;
    ends_by: Date;
    ended_at: Date | null;
    end_reason: SessionEndReason | null;
    ended_by: string | null;
    identity_id: string | null;
    reauthenticated_at: Date | null;
    reauthenticated_counter: Generated<string>;
    provider_authenticated_at: Date | null;
    address: Generated<string>;
    user_agent: Generated<string>;
    audiences: string[] | null;
  };
  service_accounts: {
    id: string;
    name: string;
    description: string;
    created_at: Date;
    created_by: string;
    disabled_at: Date | null;
    claims_epoch: Generated<number>;
  };
  api_keys: {
    id: string;
    service_account_id: string;
    name: string;
    hash: Buffer;
    created_at: Date;
    created_by: string;
    expires_at: Date;
    revoked_at: Date | null;
    last_used_at: Date | null;
  };
  signing_keys: {
    kid: string;
    algorithm: SigningAlgorithm;
    encrypted_private_key: Buffer | null;
    state: KeyState;
    created_at: Date;
    signs_from: Date;
    activated_at: Date | null;
    retiring_at: Date | null;
    retired_at: Date | null;
  };
  outbox: {
    id: string;
    topic: Effect['topic'];
    payload: ColumnType<unknown, string, never>;
    created_at: Date;
    next_attempt_at: Generated<Date>;
    first_attempt_at: Date | null;
    claimed_until: Date | null;
    attempts: Generated<number>;
    last_error: string | null;
    dead_at: Date | null;
  };
  processes: {
    id: string;
    api: boolean;
    worker: boolean;
    release: string;
    host: string;
    started_at: Generated<Date>;
    seen_at: Generated<Date>;
    clock_ahead_ms: number;
  };
  schema_migrations: { name: string; sha256: string; applied_at: Generated<Date> };
};
