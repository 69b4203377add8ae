// The folder limits owns rate limits and the memory of known networks, counted in Redis or in this process. It must not
// decide which calls are limited, nor answer them. This file is the table of all limits.

/** A window begins with the first attempt. */
export type Limit = { points: number; windowSeconds: number };

type LimitEntry = Limit & {
  /** The format behind `latchkey:limit:<NAME>:`. KEY_PARTS explains each `<part>`. */
  key: string;
  /** For the reference page. */
  counts: string;
};

/**
 * Every limit, by the name that configuration (`LIMIT_<NAME>=points/seconds`), audit events and keys share. Limits are
 * checked before any password is hashed. A successful sign-in gives the points of the limits on failed sign-ins back.
 * `GLOBAL_...` are budgets of the whole deployment. While one is exceeded, each network has a quarter of its points in
 * the limits that belong to it. A well-behaved network continues, and an attacking one is stopped sooner.
 */
export const LIMITS = {
  LOGIN_ACCOUNT: {
    points: 5,
    windowSeconds: 900,
    key: '<account>',
    counts:
      'Failed sign-ins to one account from networks that it has not signed in from recently. Strangers cannot use up the attempts of the owner.',
  },
  LOGIN_PAIR: {
    points: 5,
    windowSeconds: 900,
    key: '<account>:<network>',
    counts: 'Failed sign-ins to one account from one network.',
  },
  LOGIN_NETWORK: {
    points: 100,
    windowSeconds: 900,
    key: '<network>',
    counts: 'Failed sign-ins from one network, to any account.',
  },
  GLOBAL_SIGN_INS: {
    points: 6000,
    windowSeconds: 60,
    key: 'all',
    counts:
      'Started sign-ins (Login, StartOAuth and StartPasskeySignIn). The default is 100 a second, which two or three cores can hash.',
  },
  REGISTER_NETWORK: {
    points: 60,
    windowSeconds: 3600,
    key: '<network>',
    counts: 'Attempts to register from one network, including successful ones.',
  },
  REGISTER_ACCOUNT: {
    points: 5,
    windowSeconds: 3600,
    key: '<mailbox>',
    counts:
      'Attempts to register addresses of one mailbox. Each sends an e-mail where addresses must be verified, and its account can send more.',
  },
  GLOBAL_SIGN_UPS: {
    points: 600,
    windowSeconds: 60,
    key: 'all',
    counts:
      'Attempts to register, and accounts created by a first sign-in at an identity provider. The default is 10 a second, which few products reach.',
  },
  GLOBAL_MAILS: {
    points: 1200,
    windowSeconds: 60,
    key: 'all',
    counts: 'E-mails that calls requested. The default is 20 a second. Lower it if your mail provider accepts fewer.',
  },
  MAIL_DOMAIN: {
    points: 300,
    windowSeconds: 3600,
    key: '<domain>:<widest network>',
    counts:
      'E-mails to one recipient domain that callers of one network requested. Stops a stranger who floods a company, or a domain that accepts every address, where each single mailbox receives few. The network is part of the key because all users of a big mail provider share its domain.',
  },
  GLOBAL_MAIL_DOMAIN: {
    points: 6000,
    windowSeconds: 3600,
    key: '<domain>',
    counts:
      'E-mails to one recipient domain that callers of any network requested. A budget that tightens MAIL_DOMAIN. Only a big mail provider receives as many in an ordinary hour.',
  },
  NOTICE_ACCOUNT: {
    points: 10,
    windowSeconds: 3600,
    key: '<mailbox>',
    counts:
      'Changes of the password, the address or the factors of accounts with an unverified address, whose notices can reach a stranger. A password reset verifies the address.',
  },
  REFRESH_NETWORK: {
    points: 100,
    windowSeconds: 900,
    key: '<network>',
    counts:
      'Invalid refresh tokens from one network. Valid ones are not counted, because a back end sends those of all its users.',
  },
  REFRESH_SESSION: {
    points: 300,
    windowSeconds: 60,
    key: '<session id>',
    counts: 'Refreshes of one session.',
  },
  REFRESH_USER: {
    points: 600,
    windowSeconds: 60,
    key: '<user id>',
    counts: 'Successful refreshes of one user, in all sessions. A hundred devices can start at once.',
  },
  REQUEST_RESET_ACCOUNT: {
    points: 3,
    windowSeconds: 3600,
    key: '<mailbox>',
    counts: 'Reset e-mails to one mailbox.',
  },
  REQUEST_RESET_NETWORK: {
    points: 30,
    windowSeconds: 3600,
    key: '<network>',
    counts: 'Reset e-mails that one network requested.',
  },
  CONFIRM_RESET_NETWORK: {
    points: 30,
    windowSeconds: 3600,
    key: '<network>',
    counts: 'Invalid reset tokens from one network.',
  },
  CONFIRM_RESET_TOKEN: {
    points: 10,
    windowSeconds: 3600,
    key: '<reset id>',
    counts: 'Attempts with one reset token.',
  },
  REQUEST_VERIFICATION_ACCOUNT: {
    points: 3,
    windowSeconds: 3600,
    key: '<mailbox>',
    counts: 'E-mails to one mailbox that verify its address, including those of ChangeEmail.',
  },
  REQUEST_VERIFICATION_NETWORK: {
    points: 30,
    windowSeconds: 3600,
    key: '<network>',
    counts: 'Verification e-mails that one network requested.',
  },
  VERIFY_EMAIL_NETWORK: {
    points: 30,
    windowSeconds: 3600,
    key: '<network>',
    counts: 'Invalid verification tokens from one network.',
  },
  VERIFY_EMAIL_TOKEN: {
    points: 10,
    windowSeconds: 3600,
    key: '<verification id>',
    counts: 'Attempts with one verification token.',
  },
  NETWORK_MAIL_ACCOUNT: {
    points: 1,
    windowSeconds: 3600,
    key: '<mailbox>',
    counts: 'E-mails with which the owner of an account can confirm a network.',
  },
  CONFIRM_NETWORK_NETWORK: {
    points: 30,
    windowSeconds: 3600,
    key: '<network>',
    counts: 'Invalid network tokens from one network.',
  },
  CONFIRM_NETWORK_TOKEN: {
    points: 10,
    windowSeconds: 3600,
    key: '<confirmation id>',
    counts: 'Attempts with one network token.',
  },
  UNDO_EMAIL_CHANGE_NETWORK: {
    points: 30,
    windowSeconds: 3600,
    key: '<network>',
    counts: 'Invalid undo tokens from one network.',
  },
  UNDO_EMAIL_CHANGE_TOKEN: {
    points: 10,
    windowSeconds: 3600,
    key: '<change id>',
    counts: 'Attempts with one undo token.',
  },
  START_OAUTH_NETWORK: {
    points: 100,
    windowSeconds: 900,
    key: '<network>',
    counts: 'Sign-ins at an identity provider that one network started.',
  },
  FINISH_OAUTH_NETWORK: {
    points: 30,
    windowSeconds: 900,
    key: '<network>',
    counts: 'Sign-ins at an identity provider that returned with a state or a flow other than the issued one.',
  },
  PASSKEY_SIGN_IN_NETWORK: {
    points: 100,
    windowSeconds: 900,
    key: '<network>',
    counts: 'Sign-ins with a passkey alone that one network started.',
  },
  FACTOR_CODE_NETWORK: {
    points: 100,
    windowSeconds: 900,
    key: '<network>',
    counts:
      'Failed second steps with a TOTP code or a recovery code from one network, and invalid challenges with them.',
  },
  PASSKEY_NETWORK: {
    points: 100,
    windowSeconds: 900,
    key: '<network>',
    counts:
      'Failed second steps and sign-ins with a passkey from one network, and invalid challenges with them. Wrong codes are counted separately, so that they lock no passkey out.',
  },
  FACTOR_CODE_USER: {
    points: 10,
    windowSeconds: 900,
    key: '<user id>',
    counts:
      'Wrong TOTP codes and recovery codes of one user. Only a caller who has completed the first step can send one. Passkeys are not limited by it. A step-up uses the session id as the key, so that a thief in one session cannot prevent the step-ups of the owner.',
  },
  FACTOR_CODE_USER_DAY: {
    points: 50,
    windowSeconds: 86_400,
    key: '<user id>:<password epoch>',
    counts: 'Wrong TOTP codes and recovery codes of one user over a day. A step-up uses the session id as the key.',
  },
  FACTOR_CODE_USER_WEEK: {
    points: 200,
    windowSeconds: 604_800,
    key: '<user id>',
    counts:
      'Wrong TOTP codes and recovery codes of one user over a week, in all sessions and with all passwords, so that an attacker cannot go on guessing.',
  },
  WRONG_CODE_NOTICE: {
    points: 9,
    windowSeconds: 86_400,
    key: '<user id>',
    counts: 'Wrong codes of one user. The next one sends an e-mail to the owner. It rejects no call.',
  },
  STEP_UP_SESSION: {
    points: 60,
    windowSeconds: 900,
    key: '<session id>',
    counts: 'Calls of StartStepUp and FinishStepUp in one session.',
  },
  CHANGE_EMAIL_USER: {
    points: 5,
    windowSeconds: 3600,
    key: '<user id>',
    counts: 'Changes of the e-mail address of one user. Each sends an e-mail.',
  },
  CHANGE_PASSWORD_USER: {
    points: 5,
    windowSeconds: 900,
    key: '<user id>',
    counts:
      'Password changes of one user, and attempts at the current password. RevokeSession and RevokeOtherSessions use the session id as the key, so that a thief in one session cannot prevent the owner from ending it.',
  },
  ACCOUNT_CHANGE_USER: {
    points: 60,
    windowSeconds: 900,
    key: '<user id>',
    counts: 'Changes of one user through AccountService, except ChangePassword and the revocation of sessions.',
  },
  REVOCATION_SESSION: {
    points: 60,
    windowSeconds: 900,
    key: '<session id>',
    counts:
      "Revocations that one session requested, so that a thief's session cannot use up the attempts of the owner.",
  },
  DENIED_AUDIT: {
    points: 20,
    windowSeconds: 900,
    key: '<caller>',
    counts:
      'Denied calls of one caller that are audited. Further calls are denied as well, without an audit event and with PERMISSION_DENIED instead of STEP_UP_REQUIRED.',
  },
} satisfies Record<string, LimitEntry>;

export type LimitName = keyof typeof LIMITS;

/** Beyond these a mail or an audit event is sent, or is not, and no call is rejected. */
export const REJECTING_NO_CALL: LimitName[] = ['DENIED_AUDIT', 'NETWORK_MAIL_ACCOUNT', 'WRONG_CODE_NOTICE'];

export type BudgetName = Extract<LimitName, `GLOBAL_${string}`>;
export type NetworkLimit = Extract<LimitName, `${string}_NETWORK`>;

export const KEY_PREFIX = 'latchkey:limit';

export function isBudget(name: LimitName): name is BudgetName {
  return name.startsWith('GLOBAL_');
}

export function isByNetwork(name: LimitName): name is NetworkLimit {
  return name.endsWith('_NETWORK');
}

/** Other processes count for themselves. */
export function pointsWithoutRedis(points: number): number {
  return Math.max(1, Math.floor(points / 2));
}
