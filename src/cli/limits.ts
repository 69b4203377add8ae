import { isIP } from 'node:net';
import { addressCounts, countedAccountOf } from '../admin/counted-account.ts';
import { getUser } from '../admin/get-user.ts';
import { countsOf, type LimitSubject, resetLimits } from '../admin/reset-limits.ts';
import { AuthError } from '../domain/auth-error.ts';
import { parseEmail } from '../domain/email.ts';
import { parseFields } from '../domain/parse-fields.ts';
import type { CountedLimit } from '../limits/counted-limits.ts';
import { networkOfPair } from '../limits/limit-buckets.ts';
import { OperatorError } from '../process/operator-error.ts';
import type { Command } from './command.ts';
import { identify } from './identify.ts';
import type { Operator } from './operator.ts';
import { operatorCommand, REASON } from './operator-command.ts';
import type { Output, Row } from './output.ts';
import { parseLimit } from './parse-limit.ts';

const SUBJECT = {
  account: { value: 'user', help: 'ID or e-mail address of a user, or the ACCOUNT of "limits top"' },
  network: { value: 'address', help: 'an IP address; the limits of every network that contains it' },
} as const;
const ACCESS =
  'Requires REDIS_URL, MASTER_KEY and the LIMIT_... keys of the service. While Redis is unavailable, each process of the service counts for itself, and this command fails.';
const MAX_EXAMINED = 5_000_000;

export const LIMIT_COMMANDS: Command[] = [
  operatorCommand({
    path: 'limits show',
    summary: 'Shows the counted attempts of an account or a network; with neither, those of the whole deployment.',
    details: ACCESS,
    options: SUBJECT,
    run: showLimits,
  }),
  operatorCommand({
    path: 'limits top',
    summary: 'Lists the accounts and networks that are nearest to a limit, or beyond it.',
    details: `Walks over the keys of Redis in small steps, at most ${MAX_EXAMINED} of them. An e-mail address appears as a keyed hash (ACCOUNT), as in the audit trail. ${ACCESS}`,
    options: { limit: { value: 'number', help: 'number of rows, 1 to 1000 (default: 20)' } },
    run: showTop,
  }),
  operatorCommand({
    path: 'limits reset',
    summary: 'Clears the counted attempts of an account or a network, which can try again at once.',
    details: `"users unlock" does the same for a user. ${ACCESS}`,
    options: { ...SUBJECT, ...REASON },
    run: clearLimits,
  }),
];

type SubjectOptions = { account: string; network: string };

async function showLimits(
  operator: Operator,
  { options, output }: { options: SubjectOptions; output: Output },
): Promise<void> {
  const { countedLimits } = await operator.limits();
  const subjects = await subjectsOf(operator, options);
  const found = await Promise.all(subjects.map((subject) => countsOf(countedLimits, subject)));
  const counted = subjects.length === 0 ? await countedLimits.budgets() : found.flat();
  output.rows(counted.map(limitRow), 'no attempts are counted');
}

async function showTop(
  operator: Operator,
  { options, output }: { options: { limit: string }; output: Output },
): Promise<void> {
  const atMost = parseLimit(options.limit, { otherwise: 20, most: 1_000 });
  const { countedLimits } = await operator.limits();
  const { limits, isComplete } = await countedLimits.top(atMost, MAX_EXAMINED);
  output.rows(limits.map(limitRow), 'no attempts are counted');
  if (!isComplete)
    output.message(`Redis has more than ${MAX_EXAMINED} counts; these are the highest of the examined ones.`);
}

async function clearLimits(
  operator: Operator,
  { options, output }: { options: SubjectOptions & { reason: string }; output: Output },
): Promise<void> {
  const { deps, call } = operator;
  const [subject, other] = await subjectsOf(operator, options);
  if (!subject || other) throw new OperatorError('either --account or --network is required');
  const { countedLimits } = await operator.limits();
  const input = { actor: operator.actor, reason: options.reason, subject };
  const cleared = await resetLimits({ ...deps, countedLimits }, input, call);
  output.rows(cleared.map(limitRow), 'no attempts were counted');
  if (cleared.length > 0) output.message('These counts are cleared.');
}

/** @throws OperatorError */
async function subjectsOf(operator: Operator, { account, network }: SubjectOptions): Promise<LimitSubject[]> {
  if (network !== '' && isIP(network) === 0) throw new OperatorError('--network must be an IP address');
  return [
    ...(account === '' ? [] : [{ account: await accountOf(operator, account) }]),
    ...(network === '' ? [] : [{ address: network }]),
  ];
}

/** As a key of Redis contains it. */
const ACCOUNT_HASH = /^[\w-]{22}$/;

async function accountOf(operator: Operator, account: string) {
  const { deps } = operator;
  if (ACCOUNT_HASH.test(account)) {
    return { accounts: [account], mailboxes: [account], userId: '', passwordEpoch: null, sessionIds: [] };
  }
  const { purposeKeys } = await operator.limits();
  try {
    const { user } = await getUser(deps, identify(account));
    return await countedAccountOf({ ...deps, purposeKeys }, user);
  } catch (error) {
    const isUnknown = error instanceof AuthError && error.reason === 'USER_NOT_FOUND' && account.includes('@');
    if (!isUnknown) throw error;
    // Attempts at addresses that have no account are counted as well.
    const { '--account': email } = parseFields({ '--account': () => parseEmail(account) });
    return addressCounts(email, purposeKeys.accountHash);
  }
}

export function limitRow(counted: CountedLimit): Row {
  const { limit, key, count, maximum, until, isReached } = counted;
  const network = networkOfPair(counted);
  const subject = network === null ? key : key.slice(0, key.indexOf(':'));
  return { limit, subject, network, count, maximum, reached: isReached, until };
}
