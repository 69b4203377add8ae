// One round of SHA-512 over password and salt, of Dovecot and LDAP. It is weak until the first sign-in replaces it.
import { createHash } from 'node:crypto';
import type { HashFamily } from '../hash-family.ts';
import { areEqual, BASE64, decodeDigest, decodeSalt, randomBase64 } from '../hash-text.ts';

const FORM = new RegExp(String.raw`^\$salted-sha512\$l=64\$(${BASE64})\$(${BASE64})$`);

export const saltedSha512Family: HashFamily = {
  parse(text) {
    const [, salt = '', digest = ''] = FORM.exec(text) ?? [];
    const [saltBytes, stored] = [decodeSalt(salt), decodeDigest(digest)];
    if (!saltBytes || stored?.length !== 64) return null;
    return {
      kind: { family: 'salted-sha512', work: 1 },
      compare: async (password) => areEqual(createHash('sha512').update(password).update(saltBytes).digest(), stored),
    };
  },
  owns: (family) => family === 'salted-sha512',
  decoys: () => [`$salted-sha512$l=64$${randomBase64(8)}$${randomBase64(64)}`],
  estimateMs: () => 0.01,
};
