// Names the person at the command line for the audit trail.
import { userInfo } from 'node:os';
import type { Actor } from '../domain/actor.ts';
import { parseOperatorName } from '../domain/operator-name.ts';
import { InvalidValue } from '../domain/parse-fields.ts';
import { OperatorError } from '../process/operator-error.ts';

/** Logins of images and of services, which several people share. */
const SHARED_LOGINS = /^(?:root|node|app|user|no(?:body|nroot)|default|latchkey|uid-\d+)$/;

type Names = {
  /** The value of --as, or empty. */
  as: string;
  /** The value of OPERATOR. */
  operator: string | undefined;
  login?: string;
  /** SUDO_USER, which sudo sets. */
  sudoUser: string | undefined;
};

/** The warning is written when the command first names its actor, which only changes do. @throws OperatorError */
export function operatorActor(names: Names, warn: (text: string) => void): () => Actor {
  const { as, operator, login = loginName(), sudoUser } = names;
  const given = as === '' ? operator : parseAs(as);
  const name = given ?? (isShared(login) && sudoUser ? printable(sudoUser) : printable(login));
  let isWarningDue = given === undefined && isShared(name);
  return () => {
    if (isWarningDue) {
      warn(`The audit trail names the actor "operator:${name}", which several people can be: use --as or OPERATOR.\n`);
    }
    isWarningDue = false;
    return { kind: 'operator', name };
  };
}

function isShared(login: string): boolean {
  return SHARED_LOGINS.test(login);
}

function parseAs(text: string): string {
  try {
    return parseOperatorName(text);
  } catch (error) {
    throw error instanceof InvalidValue ? new OperatorError(`--as ${error.message}`) : error;
  }
}

function printable(login: string): string {
  try {
    return parseOperatorName(login);
  } catch {
    return uidName();
  }
}

/** In a container the user ID may have no name. */
function loginName(): string {
  try {
    return userInfo().username;
  } catch {
    return uidName();
  }
}

function uidName(): string {
  return `uid-${process.getuid?.()}`;
}
