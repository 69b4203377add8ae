// A user of Keycloak's realm export. The ids are UUIDs, so they are kept.
import { type FormatReader, foreign, nameOf } from './format-reader.ts';
import { asObject, objectsIn } from './json-value.ts';
import { idMembers } from './kept-id.ts';
import { keycloakFactor } from './keycloak-factor.ts';

export const readKeycloak: FormatReader = (user, { note }) => {
  if (user.serviceAccountClientId !== undefined) {
    note('service accounts of clients');
    return null;
  }
  const credentials = objectsIn(user.credentials);
  const factors = credentials.map((credential) => keycloakFactor(credential, user.id));
  for (const [n, { type }] of credentials.entries()) {
    if (type !== 'password' && !factors[n]) note(`credentials of type ${type}`);
  }
  return foreign({
    ...idMembers(user.id),
    email: user.email,
    email_verified: user.emailVerified,
    full_name: nameOf('', user.firstName, user.lastName),
    password_hash: credentials.find(({ type }) => type === 'password'),
    disabled: user.enabled === false,
    created_at: user.createdTimestamp,
    roles: [...textsOf(user.realmRoles), ...clientRoles(user.clientRoles)],
    identities: objectsIn(user.federatedIdentities).map(({ identityProvider: provider, userId: subject }) => ({
      provider,
      subject,
    })),
    factors: factors.filter((factor) => factor !== null),
  });
};

/** The role `editor` of the client `shop` is `shop/editor` in the table of roles. */
function clientRoles(value: unknown): string[] {
  return Object.entries(asObject(value) ?? {}).flatMap(([client, roles]) =>
    textsOf(roles).map((role) => `${client}/${role}`),
  );
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
