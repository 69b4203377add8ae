// A credential of Keycloak that is a second factor. `credentialData` and `secretData` are JSON as text.
import { totpUri } from '../../factors/totp.ts';
import { asObject } from './json-value.ts';

/** In the form of the member `factors`. Null for another credential, such as a counter-based one. */
export function keycloakFactor(credential: Record<string, unknown>, userId: unknown): object | null {
  const data = asObject(credential.credentialData) ?? {};
  const name = credential.userLabel ?? '';
  switch (credential.type) {
    case 'otp': {
      const uri = uriOf(data, asObject(credential.secretData)?.value);
      return uri === null ? null : { name, totp_uri: uri };
    }
    case 'webauthn':
    case 'webauthn-passwordless':
      return {
        name,
        passkey: {
          credential_id: data.credentialId,
          public_key: data.credentialPublicKey,
          counter: data.counter,
          // The text of the id, not the 16 bytes of the UUID.
          user_handle: Buffer.from(String(userId)).toString('base64url'),
          transports: data.transports,
        },
      };
    default:
      return null;
  }
}

/** Without `secretEncoding` the characters of the secret are its bytes. */
function uriOf(data: Record<string, unknown>, secret: unknown): string | null {
  const { subType, digits, period, algorithm, secretEncoding } = data;
  const isTotp = subType === 'totp' && digits === 6 && period === 30 && algorithm === 'HmacSHA1';
  if (!isTotp || typeof secret !== 'string') return null;
  if (String(secretEncoding).toUpperCase() === 'BASE32')
    return `otpauth://totp/keycloak?secret=${encodeURIComponent(secret)}`;
  return totpUri({ secret: Buffer.from(secret), issuer: 'Keycloak', account: 'account' });
}
