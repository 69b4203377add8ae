// What operators do, by noun and verb. Owns the words of the command line, and what --help says of them.
import { readDatabaseConfig } from '../config/config.ts';
import { AuthError } from '../domain/auth-error.ts';
import { ERROR_REASONS } from '../domain/error-reason.ts';
import { OperatorError, operatorMessage } from '../process/operator-error.ts';
import { isDatabaseOutage } from '../store/postgres/outage.ts';
import { dropAuditEvents, listAuditEvents, verifyAuditTrail } from './audit.ts';
import { operatorEnvironment } from './environment.ts';
import { importFile } from './import.ts';
import { reencryptKeys, retireKey, rotateKeys, showSigningKeys } from './keys.ts';
import { asOperator, type Operator } from './operator.ts';
import { retryOutbox, showOutbox } from './outbox.ts';
import { createOutput, type Output } from './output.ts';
import { removeRole, setRole, showRoles } from './roles.ts';
import { addKey, addService, dropKey, SERVICE_WORK, showKeys, showServices, workOnService } from './services.ts';
import { UsageError } from './usage-error.ts';
import { addUser, showUser, USER_WORK, workOnUser } from './users.ts';

/** As parseArgs has them. */
export const OPERATOR_OPTIONS = {
  json: { type: 'boolean' },
  dev: { type: 'boolean' },
  reason: { type: 'string' },
  until: { type: 'string' },
  name: { type: 'string' },
  role: { type: 'string' },
  description: { type: 'string' },
  implies: { type: 'string' },
  granter: { type: 'string' },
  user: { type: 'string' },
  actor: { type: 'string' },
  type: { type: 'string' },
  from: { type: 'string' },
  before: { type: 'string' },
  limit: { type: 'string' },
  anchors: { type: 'string' },
  dead: { type: 'boolean' },
  waiting: { type: 'boolean' },
} as const;

export type OperatorOptions = { [name in keyof typeof OPERATOR_OPTIONS]?: string | boolean | undefined };

type Noun = {
  help: string;
  /** Whether it takes the owner of the schema. */
  isForOwner?(words: string[]): boolean;
  /** False when there is no such verb, or it was given something else than it wants. */
  run(operator: Operator, words: string[], options: OperatorOptions, output: Output): Promise<boolean>;
};

const COMMON = `
  --json           for programs: the same as JSON
  --dev            of the service that "npm start" runs here; otherwise of DATABASE_URL
`;

export const NOUNS: Record<string, Noun> = {
  users: {
    help: `users: accounts, and the first administrator
  <user> is an id or an address. What changes something wants --reason "...", which the audit trail keeps.

  users show <user>
  users create <email> --name "..." [--role admin]   mails the link to set a password
  users grant <user> <role> [--until 2030-01-31T12:00:00Z]
  users revoke <user> <role>
  users disable <user>                               sessions end; nobody signs in until "enable"
  users enable <user>
  users require-new-password <user>                  the old one opens nothing; mails the link for another
  users end-sessions <user>
  users delete <user>                                for good
  users import <file>                                a line each: {"email", "full_name", "email_verified", "password_hash"};
                                                     may be repeated
${COMMON}`,
    async run(operator, [verb, user, role, ...rest], options, output) {
      if (verb === undefined || user === undefined || rest.length > 0) return false;
      const said = textsOf(options, ['reason', 'until', 'name', 'role']);
      if (verb === 'show' && role === undefined) await showUser(operator, user, output);
      else if (verb === 'create' && role === undefined) await addUser(operator, user, said, output);
      else if (verb === 'import' && role === undefined) await importFile(operator, user, output);
      else {
        const work = Object.hasOwn(USER_WORK, verb) ? USER_WORK[verb] : undefined;
        const wantsRole = verb === 'grant' || verb === 'revoke';
        if (!work || wantsRole !== (role !== undefined)) return false;
        await workOnUser(operator, work, user, { ...said, role: role ?? '' }, output);
      }
      return true;
    },
  },
  roles: {
    help: `roles: what there is to grant, and what it implies
  What changes something wants --reason "...", which the audit trail keeps.

  roles list
  roles define <role> --description "..." [--implies reader,writer] [--granter admin]
                                       whoever holds the granter may give the role; admin when not said
  roles delete <role>
${COMMON}`,
    async run(operator, [verb, role, ...rest], options, output) {
      const said = textsOf(options, ['description', 'implies', 'granter', 'reason']);
      if (verb === 'list' && role === undefined) await showRoles(operator, output);
      else if (role === undefined || rest.length > 0) return false;
      else if (verb === 'define') {
        const implies = said.implies.split(',').filter((name) => name !== '');
        await setRole(operator, role, { ...said, implies }, output);
      } else if (verb === 'delete') await removeRole(operator, role, said.reason, output);
      else return false;
      return true;
    },
  },
  services: {
    help: `services: accounts of services, and their keys
  <service> is a name or an id. What changes something wants --reason "...", which the audit trail keeps.

  services list                        with the first key of each that expires within 30 days
  services create <name> [--description "..."] [--role reader]
  services keys <service>
  services create-key <service> --name "..." [--until 2030-01-31]     prints the key, once; it expires in a year unless
                                       --until is given, and API_KEY_MAX_DAYS from now at the latest
  services revoke-key <id of the key>
  services grant <service> <role> [--until 2030-01-31T12:00:00Z]
  services revoke <service> <role>
  services disable <service>
  services enable <service>
  services delete <service>
${COMMON}`,
    async run(operator, [verb, service, role, ...rest], options, output) {
      const said = textsOf(options, ['reason', 'until', 'name', 'role', 'description']);
      if (verb === undefined || rest.length > 0) return false;
      if (service === undefined) {
        if (verb !== 'list') return false;
        await showServices(operator, output);
        return true;
      }
      const wantsRole = verb === 'grant' || verb === 'revoke';
      if (wantsRole !== (role !== undefined)) return false;
      const work = Object.hasOwn(SERVICE_WORK, verb) ? SERVICE_WORK[verb] : undefined;
      if (work) await workOnService(operator, work, service, { ...said, role: role ?? '' }, output);
      else if (verb === 'create') await addService(operator, service, said, output);
      else if (verb === 'keys') await showKeys(operator, service, output);
      else if (verb === 'create-key') await addKey(operator, service, said, output);
      else if (verb === 'revoke-key') await dropKey(operator, service, said.reason, output);
      else return false;
      return true;
    },
  },
  keys: {
    help: `keys: what signs access tokens, and the master key that protects it
  What changes something wants --reason "...", which the audit trail keeps, and MASTER_KEY as the service has it.

  keys list
  keys rotate            the published key signs from now on; tokens of the one before stay good.
                         Workers do it by themselves, every KEY_ROTATION_SECONDS, and publish the next one
  keys retire <kid>      for a key that somebody else may have: what it signed is good no more, within a second;
                         at those who verify by JWKS alone when they ask for that again (at most 300 seconds)
  keys reencrypt         encrypts under MASTER_KEY what is encrypted under one of MASTER_KEY_ACCEPTED
${COMMON}`,
    async run(operator, [verb, kid, ...rest], options, output) {
      const { reason } = textsOf(options, ['reason']);
      if (rest.length > 0 || (verb === 'retire') !== (kid !== undefined)) return false;
      if (verb === 'list') await showSigningKeys(operator, output);
      else if (verb === 'rotate') await rotateKeys(operator, reason, output);
      else if (verb === 'retire' && kid !== undefined) await retireKey(operator, kid, reason, output);
      else if (verb === 'reencrypt') await reencryptKeys(operator, reason, output);
      else return false;
      return true;
    },
  },
  audit: {
    help: `audit: what has happened, and whether the trail of it is whole

  audit list [--user <id>] [--actor user:<id>] [--type login_failed] [--from 2030-01-31] [--until ...] [--limit 50]
  audit verify [--anchors <file>]      finds what was changed, removed or moved, and says which; exits with 1 then.
                                       <file>: lines of the log, or of AUDIT_ANCHOR_FILE
  audit drop --before 2030-01-01       whole months, for good, as MIGRATION_DATABASE_URL; the rest can still be proved
${COMMON}`,
    isForOwner: ([verb]) => verb === 'drop',
    async run(operator, [verb, ...rest], options, output) {
      const said = textsOf(options, ['user', 'actor', 'type', 'from', 'until', 'limit', 'before', 'anchors']);
      if (rest.length > 0) return false;
      if (verb === 'list') await listAuditEvents(operator, said, output);
      else if (verb === 'verify') await verifyAuditTrail(operator, said.anchors, output);
      else if (verb === 'drop') await dropAuditEvents(operator, said.before, output);
      else return false;
      return true;
    },
  },
  outbox: {
    help: `outbox: mails and audit events that wait for a worker, and dead letters, which were given up

  outbox list [--dead] [--waiting] [--limit 100]
                                       age, attempts, next attempt and last error of each; both states when not said
  outbox retry <id>                    due now; a dead letter gets a new round of attempts
  outbox retry all [--dead] [--waiting]
${COMMON}`,
    async run(operator, [verb = 'list', which, ...rest], options, output) {
      const { limit } = textsOf(options, ['limit']);
      const filter = { dead: options.dead === true, waiting: options.waiting === true, limit };
      if (verb === 'list' && which === undefined) await showOutbox(operator, filter, output);
      else if (verb === 'retry' && which !== undefined && rest.length === 0) {
        await retryOutbox(operator, which, filter, output);
      } else return false;
      return true;
    },
  },
};

/** @throws UsageError, OperatorError */
export async function runOperatorCommand(noun: Noun, words: string[], options: OperatorOptions): Promise<void> {
  if (words.length === 0 && noun !== NOUNS.outbox) throw new UsageError(noun.help);
  const environment = operatorEnvironment(options.dev === true);
  const config = readDatabaseConfig(environment);
  const url = noun.isForOwner?.(words) ? config.MIGRATION_DATABASE_URL : config.DATABASE_URL;
  const output = createOutput(options.json === true, (text) => process.stdout.write(text));
  try {
    const isDone = await asOperator(url, environment, (operator) => noun.run(operator, words, options, output));
    if (!isDone) throw new UsageError(`not understood: ${words.join(' ')}\n\n${noun.help}`);
  } catch (error) {
    if (error instanceof AuthError) throw new OperatorError(sentenceOf(error));
    // What has a code is told by it.
    if (isDatabaseOutage(error) && operatorMessage(error) === null) {
      throw new OperatorError(
        'Postgres does not answer, or has ended the connection: see DATABASE_URL, and whether it is well',
      );
    }
    throw error;
  }
}

function sentenceOf({ reason, violations, retryAfterMs }: AuthError): string {
  const fields = violations.map(({ field, description }) => `${field} ${description}`).join('; ');
  if (fields !== '') return fields;
  const when = retryAfterMs === undefined ? '' : `; try again in ${Math.ceil(retryAfterMs / 1000)} seconds`;
  return `${ERROR_REASONS[reason].message} (${reason})${when}`;
}

/** Empty where nothing was said. */
function textsOf<Name extends string>(options: OperatorOptions, names: Name[]): Record<Name, string> {
  const values = options as Record<string, unknown>;
  return Object.fromEntries(names.map((name) => [name, String(values[name] ?? '')])) as Record<Name, string>;
}
