// A user of a Cognito pool: a row of CSV with the names of the attributes, or an element of list-users. Cognito exports no
// password hashes.
import { isUuid } from '../../domain/uuid.ts';
import { type FormatReader, foreign, nameOf } from './format-reader.ts';
import { asObject } from './json-value.ts';
import type { Members } from './members.ts';

export const readCognito: FormatReader = (user) => {
  const attributes = Array.isArray(user.Attributes) ? attributesOf(user.Attributes) : user;
  return foreign({
    ...ids(attributes.sub, user.Username ?? user['cognito:username']),
    email: attributes.email,
    email_verified: attributes.email_verified,
    full_name: nameOf(attributes.name, attributes.given_name, attributes.family_name),
    disabled: String(user.Enabled).toLowerCase() === 'false',
    created_at: user.UserCreateDate,
    identities: identitiesOf(attributes.identities),
  });
};

function attributesOf(list: unknown[]): Record<string, unknown> {
  return Object.fromEntries(
    list.flatMap((item) => (asObject(item) ? [[String(asObject(item)?.Name), asObject(item)?.Value]] : [])),
  );
}

/** The user name of a pool is often the `sub` itself. */
function ids(sub: unknown, userName: unknown): Members {
  const id = [sub, userName].find((one) => typeof one === 'string' && isUuid(one.toLowerCase()));
  return { id, external_id: userName === id ? undefined : userName };
}

function identitiesOf(value: unknown): unknown {
  if (typeof value !== 'string' || value === '') return undefined;
  try {
    const list: unknown = JSON.parse(value);
    if (!Array.isArray(list)) return value;
    return list.map((item) => ({
      provider: String(asObject(item)?.providerName).toLowerCase(),
      subject: asObject(item)?.userId,
    }));
  } catch {
    return value;
  }
}
