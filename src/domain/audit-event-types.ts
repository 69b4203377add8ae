// The closed list, which docs/reference shows with these sentences. Functions of the database write the last two types.

/** Each sentence names the actor, the action, its target, and the fields that need an explanation. */
export const AUDIT_EVENT_TYPES = {
  registered:
    'An account was created: by its owner, by a first sign-in at an identity provider (`detail`), or by an administrator (`actor`).',
  register_refused: 'A registration failed because the email has an account.',
  login_succeeded:
    'A user signed in, and a session began. `detail` holds the identity provider, if the user signed in at one.',
  login_failed: 'A sign-in failed. `detail` holds the cause, after the provider for a sign-in at an identity provider.',
  throttled:
    'A rate limit rejected attempts. `detail` names the limit. One event for each period in which the limit is exceeded.',
  refreshed: 'A session received a new refresh token.',
  refresh_reuse_detected: 'A refresh token was used after it had been replaced, and its session was revoked.',
  logged_out: 'A user signed out of a session.',
  reauthenticated: 'A user confirmed the current password for a session.',
  reauthentication_failed:
    'A user sent a wrong current password. `detail` is `VerifyEmail` for a password that was sent to that RPC.',
  password_changed: 'A user changed the password. All other sessions of the account ended.',
  reset_requested: 'A caller requested an e-mail to reset a password, whether or not the address has an account.',
  reset_done: 'A user set a new password with the token of an e-mail. All sessions of the account ended.',
  permission_denied:
    'A user or service called an RPC, or set a field, without permission. `detail` names the RPC or field, and a service with its key. At most 20 events for each caller in 15 minutes.',
  verification_requested: 'A caller requested an e-mail to verify an address, whether or not it has an account.',
  network_confirmed: 'A user confirmed a new network with the token of an e-mail.',
  email_verified: 'A user verified the email of the account.',
  email_change_requested: 'A user requested a change of the email. The change takes effect with its verification.',
  email_changed: 'A user verified a new email, which replaced the former one.',
  email_change_undone: 'The owner of the former email undid a change of the email. All sessions of the account ended.',
  profile_changed: 'A user changed the full name of the account.',
  session_revoked: 'A session ended: by its user, or because the user has more sessions than allowed (`detail`).',
  account_deleted: 'A user deleted the own account.',
  sign_in_challenged:
    'The first step of a sign-in succeeded, and the server asked for a second factor. `detail` holds the identity provider, if there is one.',
  factor_failed: 'A second step failed. `detail` holds the kind of the factor and the cause.',
  factor_added: 'A user added a second factor (`target`). `detail` holds its kind.',
  factor_renamed: 'A user renamed a second factor (`target`).',
  factor_removed:
    'A second factor (`target`) of a user was removed, by its user or by an administrator or operator (`actor`). `detail` holds its kind, and then the reason of an administrator. Sessions that used it ended.',
  passkey_counter_fell:
    'The counter of a passkey (`target`) did not rise, so a copy of it may exist. The response was rejected.',
  recovery_code_used: 'A user used a recovery code. `detail` holds the number of codes that are left.',
  recovery_codes_created: 'A user received new recovery codes, and the former ones are invalid.',
  stepped_up: 'A user confirmed a session with a second factor. `detail` holds its kind.',
  factor_policy_changed:
    'An administrator or operator changed the policy for second factors. `before` and `after` hold the policies.',
  identity_linked: 'An identity of a provider (`detail`) was linked to an account.',
  identity_refused: 'Linking an identity failed. `detail` holds the provider and the reason.',
  identity_unlinked: 'An identity of a provider (`detail`) was removed from an account.',
  role_denied:
    'A check found that a user or service lacks a role (`target`). One event for each subject and role in 15 minutes.',
  roles_read:
    'A caller (`actor`) read roles of users by their ids. `after` holds the counts of a 15-minute period and the key of a service.',
  role_defined: 'An administrator or operator created or changed a role (`target`).',
  role_deleted: 'An administrator or operator deleted a role (`target`).',
  role_granted:
    'An administrator or operator granted a role to a user or service. `after` holds the role and its expiry.',
  role_revoked: 'An administrator or operator revoked a role of a user or service. `before` holds the grant.',
  user_imported: 'An administrator or operator imported an account with its password hash and second factors.',
  users_exported: 'An operator exported all accounts with their password hashes and second factors.',
  user_disabled: 'An administrator or operator disabled a user. All sessions ended.',
  user_enabled: 'An administrator or operator enabled a user again.',
  user_deleted: 'An administrator or operator deleted a user.',
  user_unlocked: 'An administrator or operator cleared the counted attempts of a user. `before` holds the limits.',
  limits_reset: 'An operator cleared the counts of an account or of a network (`target`). `before` holds the limits.',
  new_password_required:
    'An administrator or operator voided the password of a user, who receives an e-mail to set a new one.',
  sessions_ended: 'An administrator or operator ended all sessions of a user.',
  service_account_created: 'An administrator or operator created a service account (`target`).',
  service_account_disabled: 'An administrator or operator disabled a service account (`target`).',
  service_account_enabled: 'An administrator or operator enabled a service account (`target`) again.',
  service_account_deleted: 'An administrator or operator deleted a service account (`target`) with its keys.',
  api_key_created: 'An administrator or operator created an API key (`target`).',
  api_key_revoked: 'An administrator or operator revoked an API key (`target`).',
  service_token_issued: 'A service (`actor`) exchanged its API key (`target`) for an access token.',
  signing_key_published: 'A signing key (`target`) was published. Without `actor`, by the rotation schedule.',
  signing_key_activated: 'A signing key (`target`) began to sign. Without `actor`, by the rotation schedule.',
  signing_key_retiring:
    'A signing key (`target`) stopped signing; its tokens stay valid. Without `actor`, by the rotation schedule.',
  signing_key_retired:
    'A signing key (`target`) was retired; its tokens are invalid. Without `actor`, by the rotation schedule.',
  signing_key_reencrypted: 'An operator encrypted a signing key (`target`) under the current master key.',
  totp_secrets_reencrypted:
    'An operator encrypted TOTP secrets under the current master key. `after` holds their number.',
  mail_sent: 'The mail server accepted an e-mail (`target`). `detail` names the template.',
  mail_expired:
    'An e-mail (`target`) was not sent because its token or purpose had expired. `detail` names the template.',
  mail_failed: 'Sending an e-mail (`target`) failed for good. `detail` names the template, `after` holds the response.',
  audit_events_dropped:
    'An operator dropped a month of audit events (`target`). `before` holds their number and range.',
  traces_erased: 'The addresses and user agents in the events of a deleted user (`target`) were removed.',
} satisfies Record<string, string>;

export type AuditType = keyof typeof AUDIT_EVENT_TYPES;

export const AUDIT_TYPES = Object.keys(AUDIT_EVENT_TYPES);

export function isAuditType(text: string): text is AuditType {
  return Object.hasOwn(AUDIT_EVENT_TYPES, text);
}
