// The members of an account as a file has them, and their conversion. A message names a valid value, never the given one.
import type { ImportedUser } from '../../admin/imported-user.ts';
import { InvalidValue, invalid } from '../../domain/parse-fields.ts';
import { isUuid } from '../../domain/uuid.ts';
import { toFactors } from './factor-members.ts';

/** A member that is absent, null or empty is left to its default. */
export type Members = Partial<Record<(typeof MEMBERS)[number], unknown>>;
export type Problem = { field: string; problem: string };

export const MEMBERS = [
  'email',
  'full_name',
  'email_verified',
  'password_hash',
  'id',
  'external_id',
  'disabled',
  'created_at',
  'roles',
  'identities',
  'factors',
] as const;

/** Milliseconds of 2001 are more than the seconds of any year in use. */
const SECONDS_UNTIL = 100_000_000_000;

/** Adds each invalid member to `problems`. */
export function toImportedUser(members: Members, problems: Problem[]): Omit<ImportedUser, 'row'> {
  const take = <T>(field: keyof Members, fallback: T, convert: (value: unknown) => T): T => {
    const value = members[field];
    if (value === undefined || value === null || value === '') return fallback;
    try {
      return convert(value);
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
      problems.push({ field, problem: error.message });
      return fallback;
    }
  };
  return {
    email: take('email', '', toText),
    fullName: take('full_name', '', toText),
    emailVerified: take('email_verified', false, toFlag),
    passwordHash: take('password_hash', '', toHash),
    userId: take('id', '', toUserId),
    externalId: take('external_id', '', toText),
    disabled: take('disabled', false, toFlag),
    createdAt: take('created_at', null, toTime),
    roles: take('roles', [], toRoles),
    identities: take('identities', [], toIdentities),
    factors: take('factors', [], (value) => toFactors(fromJsonText(value))),
  };
}

function toText(value: unknown): string {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
  return typeof value === 'string' ? value : invalid('must be a text');
}

/** Keycloak's credential is an object. */
function toHash(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : toText(value);
}

function toUserId(value: unknown): string {
  const id = toText(value).toLowerCase();
  return isUuid(id) ? id : invalid('must be a UUID: use external_id for an id of another form');
}

function toFlag(value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  const text = typeof value === 'string' || typeof value === 'number' ? String(value).toLowerCase() : '';
  if (['true', 't', '1', 'yes'].includes(text)) return true;
  return ['false', 'f', '0', 'no'].includes(text) ? false : invalid('must be true or false');
}

/** RFC 3339, the form of Postgres, or the seconds or milliseconds since 1970. */
export function toTime(value: unknown): Date {
  const text = typeof value === 'object' ? (value as { $date?: unknown }).$date : value;
  const time = new Date(/^-?\d{1,15}$/.test(String(text)) ? milliseconds(Number(text)) : normalTime(String(text)));
  return Number.isNaN(time.getTime()) ? invalid('must be a time such as 2019-01-07T15:30:38Z') : time;
}

function milliseconds(number: number): number {
  return number < SECONDS_UNTIL ? number * 1_000 : number;
}

/** Postgres writes `2024-01-02 03:04:05.678+00`. A time without an offset is in UTC. */
function normalTime(text: string): string {
  const [, day, clock = '00:00:00', offset = 'Z'] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)\s?(Z|[+-]\d\d(?::?\d\d)?)?)?$/.exec(text) ?? [];
  if (day === undefined) return '';
  return `${day}T${clock}${/^[+-]\d\d$/.test(offset) ? `${offset}:00` : offset}`;
}

function toRoles(value: unknown): string[] {
  const list = fromJsonText(value);
  const items = typeof list === 'string' ? list.split(',').map((role) => role.trim()) : list;
  if (!Array.isArray(items) || !items.every((item) => typeof item === 'string'))
    return invalid('must be a list of roles');
  return items.filter((item) => item !== '');
}

function toIdentities(value: unknown): { provider: string; subject: string }[] {
  const list = fromJsonText(value);
  if (!Array.isArray(list)) return invalid('must be a list of objects with provider and subject');
  return list.map((item: unknown) => {
    const { provider, subject, ...others } = (item ?? {}) as Record<string, unknown>;
    if (typeof provider !== 'string' || Object.keys(others).length > 0) {
      return invalid('must be objects with provider and subject');
    }
    return { provider, subject: toText(subject) };
  });
}

/** A cell of CSV holds a list as JSON. */
function fromJsonText(value: unknown): unknown {
  if (typeof value !== 'string' || !value.startsWith('[')) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
