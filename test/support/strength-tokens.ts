// Access tokens of real sessions with other claims, signed with the key of a running service.
import { decodeJwt } from 'jose';
import { derivePurposeKeys } from '../../src/keys/purpose-keys.ts';
import { sessionTokenOf } from '../../src/keys/session-token.ts';
import { decryptSigningKey, signAccessToken } from '../../src/keys/signing-key.ts';
import type { AccessClaims } from '../../src/verifier/access-token.ts';
import type { TestApp } from './app.ts';

type Changes = { [claim in keyof AccessClaims]?: AccessClaims[claim] | undefined };

export type Resigner = {
  /** The token with other claims; undefined removes one. */
  resign(accessToken: string, changes: Changes): Promise<string>;
  /** The token of the session cookie with the claims of an access token. */
  cookieOf(accessToken: string): string;
};

export async function createResigner({ owner, environment }: TestApp): Promise<Resigner> {
  const keys = derivePurposeKeys([Buffer.from(environment.MASTER_KEY ?? '', 'base64')]);
  const { rows } = await owner.query("SELECT * FROM signing_keys WHERE state = 'active'");
  const { kid, algorithm, state, encrypted_private_key: encryptedPrivateKey } = rows[0];
  const key = await decryptSigningKey(
    { kid, algorithm, state, encryptedPrivateKey } as never,
    keys.signingKeyEncryption,
  );
  if (!key) throw new Error('the signing key cannot be decrypted');
  return {
    resign: (accessToken, changes) => signAccessToken({ ...decodeJwt(accessToken), ...changes } as AccessClaims, key),
    cookieOf: (accessToken) => sessionTokenOf(accessToken, keys.sessionTokens),
  };
}
