// A line of Auth0's export of password hashes (`_id`, `passwordHash`), or of its export of users (`user_id`). Both have
// the id that the claim `sub` of Auth0's tokens has, such as auth0|60425dc43519d90068f82973.
import { type FormatReader, foreign, nameOf } from './format-reader.ts';
import { asObject, objectsIn } from './json-value.ts';

export const readAuth0: FormatReader = (user) => {
  const objectId = asObject(user._id)?.$oid;
  const identities = objectsIn(user.identities);
  return foreign({
    external_id: user.user_id ?? (typeof objectId === 'string' ? `auth0|${objectId}` : undefined),
    email: user.email,
    email_verified: user.email_verified,
    // Auth0 fills the name with the address when it has none.
    full_name: nameOf(user.name === user.email ? '' : user.name, user.given_name, user.family_name),
    password_hash: user.passwordHash,
    disabled: user.blocked,
    created_at: user.created_at,
    identities: identities
      .filter(({ provider }) => provider !== 'auth0')
      .map(({ provider, user_id: subject }) => ({ provider, subject })),
  });
};
