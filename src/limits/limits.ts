/** So many in a window that starts with the first one. */
export type Limit = { points: number; windowSeconds: number };

/**
 * Every limit, by the name that configuration (`LIMIT_<NAME>=points/seconds`), audit events and keys share.
 *
 * A key is `latchkey:limit:<NAME>:` and the text in angle brackets. All are counted before any hashing; the failed
 * sign-ins give the point back after a success.
 * - `<account>`: the keyed hash of the canonical email.
 * - `<mailbox>`: the same for all addresses of a mailbox that have a `+tag`, because a+1@example.com and a+2@example.com are one
 *   mailbox. The address without a tag counts for itself, so that tags of strangers use up nothing of it. Other habits of
 *   providers (dots, other separators) are not followed.
 * - `<network>`: each network that the client's address lies in has a bucket of its own. The IPv4 address and the /64 of IPv6
 *   have the points, the /56 has 5/4 of them, the /24 and the /48 have 3/2 (rounded up). Pairs count the narrowest alone.
 *
 * `GLOBAL_...` are budgets of the whole deployment. They refuse nothing: while one is exceeded, each network has a quarter of
 * its points in the limits that belong to it, so that a network that behaves goes on and one that sprays is stopped sooner.
 */
export const LIMITS = {
  /** `<account>`: failed sign-ins from networks the account has not signed in from lately, so that strangers use up only the strangers' share. */
  LOGIN_ACCOUNT: { points: 5, windowSeconds: 900 },
  /** `<account>:<network>`: failed sign-ins of one account from one network. */
  LOGIN_PAIR: { points: 5, windowSeconds: 900 },
  /** `<network>`: failed sign-ins from one network, whatever the account. */
  LOGIN_NETWORK: { points: 100, windowSeconds: 900 },
  /** `all`: sign-ins begun, by Login and StartOAuth, failed or not. A hundred a second, which two or three cores can hash. */
  GLOBAL_SIGN_INS: { points: 6000, windowSeconds: 60 },
  /** `<network>`: new accounts, and attempts at one. */
  REGISTER_NETWORK: { points: 60, windowSeconds: 3600 },
  /** `<mailbox>`: attempts to register an address. Each sends a mail where addresses must be verified, and its account can send more. */
  REGISTER_ACCOUNT: { points: 5, windowSeconds: 3600 },
  /** `all`: attempts to register, and accounts opened by a first sign-in at a provider. Ten a second, which few products reach. */
  GLOBAL_SIGN_UPS: { points: 600, windowSeconds: 60 },
  /** `all`: mails that calls asked for. Twenty a second; a mail provider that accepts fewer is the reason to lower it. */
  GLOBAL_MAILS: { points: 1200, windowSeconds: 60 },
  /**
   * `<domain>:<widest network>`: mails to an address that a caller from one network (/24, /48) has chosen, to one recipient domain.
   * Stops a stranger who floods a company, or a domain that accepts every address, where no mailbox gets many. The network is
   * part of the key because all users of a big mail provider share its domain: one stranger must not use up their share.
   */
  MAIL_DOMAIN: { points: 300, windowSeconds: 3600 },
  /** `<domain>`: the same from every network. A budget, which tightens MAIL_DOMAIN; only a big mail provider receives as many in a quiet hour. */
  GLOBAL_MAIL_DOMAIN: { points: 6000, windowSeconds: 3600 },
  /** `<mailbox>`: changed passwords of accounts with an unverified address, whose notices may go to a stranger. A reset verifies it. */
  NOTICE_ACCOUNT: { points: 10, windowSeconds: 3600 },
  /** `<network>`: refresh tokens that nobody was given. Genuine ones are not counted: a back end sends those of all its users. */
  REFRESH_NETWORK: { points: 100, windowSeconds: 900 },
  /** `<session id>`: refreshes of one session. */
  REFRESH_SESSION: { points: 300, windowSeconds: 60 },
  /** `<user id>`: refreshes of one user that succeed, in all sessions. A hundred devices that start at once have room. */
  REFRESH_USER: { points: 600, windowSeconds: 60 },
  /** `<mailbox>`: reset mails to one mailbox. */
  REQUEST_RESET_ACCOUNT: { points: 3, windowSeconds: 3600 },
  /** `<network>`: reset mails asked for from one network. */
  REQUEST_RESET_NETWORK: { points: 30, windowSeconds: 3600 },
  /** `<network>`: reset tokens that nobody was sent. */
  CONFIRM_RESET_NETWORK: { points: 30, windowSeconds: 3600 },
  /** `<reset id>`: attempts with one reset token. */
  CONFIRM_RESET_TOKEN: { points: 10, windowSeconds: 3600 },
  /** `<mailbox>`: mails to one mailbox for the verification of its address, by ChangeEmail too. */
  REQUEST_VERIFICATION_ACCOUNT: { points: 3, windowSeconds: 3600 },
  /** `<network>`: verification mails asked for from one network. */
  REQUEST_VERIFICATION_NETWORK: { points: 30, windowSeconds: 3600 },
  /** `<network>`: verification tokens that nobody was sent. */
  VERIFY_EMAIL_NETWORK: { points: 30, windowSeconds: 3600 },
  /** `<verification id>`: attempts with one verification token. */
  VERIFY_EMAIL_TOKEN: { points: 10, windowSeconds: 3600 },
  /** `<mailbox>`: mails with which the owner of an account can confirm a network. */
  NETWORK_MAIL_ACCOUNT: { points: 1, windowSeconds: 3600 },
  /** `<network>`: invalid network tokens. */
  CONFIRM_NETWORK_NETWORK: { points: 30, windowSeconds: 3600 },
  /** `<confirmation id>`: attempts with one network token. */
  CONFIRM_NETWORK_TOKEN: { points: 10, windowSeconds: 3600 },
  /** `<network>`: invalid undo tokens. */
  UNDO_EMAIL_CHANGE_NETWORK: { points: 30, windowSeconds: 3600 },
  /** `<change id>`: attempts with one such token. */
  UNDO_EMAIL_CHANGE_TOKEN: { points: 10, windowSeconds: 3600 },
  /** `<network>`: sign-ins begun at a provider. */
  START_OAUTH_NETWORK: { points: 100, windowSeconds: 900 },
  /** `<network>`: sign-ins at a provider that came back with something else than was given out. */
  FINISH_OAUTH_NETWORK: { points: 30, windowSeconds: 900 },
  /** `<user id>`: changes of the email address, each of which sends a mail. */
  CHANGE_EMAIL_USER: { points: 5, windowSeconds: 3600 },
  /** `<user id>`: changes of the password, and attempts at it; `<session id>` to end other sessions, which a thief in one of them must not prevent. */
  CHANGE_PASSWORD_USER: { points: 5, windowSeconds: 900 },
  /** `<user id>`: calls of AccountService that change something, other than ChangePassword and the revocation of sessions. */
  ACCOUNT_CHANGE_USER: { points: 60, windowSeconds: 900 },
  /** `<session id>`: revocations that one session asks for, so that a thief's session cannot use up the owner's. */
  REVOCATION_SESSION: { points: 60, windowSeconds: 900 },
  /** `<user id>` or `<service>`: refusals of one caller that are audited; the calls beyond are refused all the same. */
  DENIED_AUDIT: { points: 20, windowSeconds: 900 },
} satisfies Record<string, Limit>;

export type LimitName = keyof typeof LIMITS;
export type BudgetName = Extract<LimitName, `GLOBAL_${string}`>;
export type NetworkLimit = Extract<LimitName, `${string}_NETWORK`>;

export function isBudget(name: LimitName): name is BudgetName {
  return name.startsWith('GLOBAL_');
}
