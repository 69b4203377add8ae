// Issues access tokens as the service does, without a sign-in for each.
import { randomUUID } from 'node:crypto';
import { type Environment, readConfig } from '../../src/config/config.ts';
import { createKeyRotation } from '../../src/keys/key-rotation.ts';
import { derivePurposeKeys } from '../../src/keys/purpose-keys.ts';
import { loadSigningKeys } from '../../src/keys/signing-keys.ts';
import { openDatabase } from '../../src/store/postgres/database.ts';
import { createSigningKeyRows } from '../../src/store/signing-key-rows.ts';

export type TokenIssuer = { issue(userId: string, sessionId: string): Promise<string>; close(): Promise<void> };

/** @param environment of a service that has started once */
export async function openTokenIssuer(environment: Environment): Promise<TokenIssuer> {
  const config = readConfig(environment);
  const db = openDatabase({ url: config.database.url, poolSize: 1, statementTimeoutMs: 5_000 }, () => {});
  const rows = createSigningKeyRows(db, randomUUID);
  const encryptionKeys = derivePurposeKeys(config.keys.masterKeys).signingKeyEncryption;
  const rotation = createKeyRotation({ store: rows, encryptionKeys, now: () => new Date() });
  const keys = await loadSigningKeys({
    store: rows,
    createFirst: () => rotation.advance(config.keys.policy),
    encryptionKeys,
    areStale: () => false,
    onUndecryptable: () => {},
  });
  return {
    issue(userId, sessionId) {
      const iat = Math.floor(Date.now() / 1000);
      const rest = { aud: ['latchkey'], client_id: 'latchkey', iat, exp: iat + 3600, jti: randomUUID() };
      const person = { sub: userId, sid: sessionId, email: 'x@people.example', email_verified: true };
      const counters = { refresh_counter: 1, epoch: 1, roles_epoch: 0 };
      return keys.sign({ iss: config.tokens.issuer, ...rest, ...person, roles: ['user'], ...counters });
    },
    close: () => db.destroy(),
  };
}
