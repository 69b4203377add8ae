/** So many in a window that starts with the first one. */
export type Limit = { points: number; windowSeconds: number };

/**
 * Every limit, by the name that configuration (`LIMIT_<NAME>=points/seconds`), audit events and keys share.
 *
 * A key is `latchkey:limit:<NAME>:` and what stands in angle brackets. `<account>` is the keyed hash of the canonical
 * email; `<network>` the client's IPv4 address, or the first 64 bits of its IPv6 address. All are counted before any
 * hashing; the failed sign-ins give the point back after a success.
 */
export const LIMITS = {
  /** `<account>`: failed sign-ins from networks the account has not signed in from lately, so that strangers use up only the strangers' share. */
  LOGIN_ACCOUNT: { points: 5, windowSeconds: 900 },
  /** `<account>:<network>`: failed sign-ins of one account from one network. */
  LOGIN_PAIR: { points: 5, windowSeconds: 900 },
  /** `<network>`: failed sign-ins from one network, whatever the account. */
  LOGIN_NETWORK: { points: 100, windowSeconds: 900 },
  /** `<network>`: new accounts, and attempts at one. */
  REGISTER_NETWORK: { points: 60, windowSeconds: 3600 },
  /** `<account>`: attempts to register one address where addresses must be verified, each of which sends a mail. */
  REGISTER_ACCOUNT: { points: 5, windowSeconds: 3600 },
  /** `<network>`: refresh tokens that nobody was given. Genuine ones are not counted: a back end sends those of all its users. */
  REFRESH_NETWORK: { points: 100, windowSeconds: 900 },
  /** `<session id>`: refreshes of one session. */
  REFRESH_SESSION: { points: 300, windowSeconds: 60 },
  /** `<account>`: reset mails to one address. */
  REQUEST_RESET_ACCOUNT: { points: 3, windowSeconds: 3600 },
  /** `<network>`: reset mails asked for from one network. */
  REQUEST_RESET_NETWORK: { points: 30, windowSeconds: 3600 },
  /** `<network>`: reset tokens that nobody was sent. */
  CONFIRM_RESET_NETWORK: { points: 30, windowSeconds: 3600 },
  /** `<reset id>`: attempts with one reset token. */
  CONFIRM_RESET_TOKEN: { points: 10, windowSeconds: 3600 },
  /** `<account>`: mails to one address for its verification, by ChangeEmail too. */
  REQUEST_VERIFICATION_ACCOUNT: { points: 3, windowSeconds: 3600 },
  /** `<network>`: verification mails asked for from one network. */
  REQUEST_VERIFICATION_NETWORK: { points: 30, windowSeconds: 3600 },
  /** `<network>`: verification tokens that nobody was sent. */
  VERIFY_EMAIL_NETWORK: { points: 30, windowSeconds: 3600 },
  /** `<verification id>`: attempts with one verification token. */
  VERIFY_EMAIL_TOKEN: { points: 10, windowSeconds: 3600 },
  /** `<network>`: tokens that undo a change of an address, and that nobody was sent. */
  UNDO_EMAIL_CHANGE_NETWORK: { points: 30, windowSeconds: 3600 },
  /** `<change id>`: attempts with one such token. */
  UNDO_EMAIL_CHANGE_TOKEN: { points: 10, windowSeconds: 3600 },
  /** `<network>`: sign-ins begun at a provider. */
  START_OAUTH_NETWORK: { points: 100, windowSeconds: 900 },
  /** `<network>`: sign-ins at a provider that came back with something else than was given out. */
  FINISH_OAUTH_NETWORK: { points: 30, windowSeconds: 900 },
  /** `<user id>`: changes of the email address, each of which sends a mail. */
  CHANGE_EMAIL_USER: { points: 5, windowSeconds: 3600 },
  /** `<user id>`: changes of the password, each of which sends a mail, and attempts at one. */
  CHANGE_PASSWORD_USER: { points: 5, windowSeconds: 900 },
  /** `<user id>` or `<service>`: refusals of one caller that are audited; the calls beyond are refused all the same. */
  DENIED_AUDIT: { points: 20, windowSeconds: 900 },
} satisfies Record<string, Limit>;

export type LimitName = keyof typeof LIMITS;
