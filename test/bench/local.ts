// Verification of tokens of the default algorithm in the process itself: `node local.ts <rounds>` prints a line of JSON a
// round.
import { generateKeyPairSync, randomUUID, sign, verify } from 'node:crypto';
import { ownVerificationKey } from '../../src/keys/own-verification-key.ts';
import { type AccessClaims, accessTokenHeader } from '../../src/verifier/access-token.ts';
import { createEngine } from '../../src/verifier/engine.ts';
import { createRevocationView } from '../../src/verifier/revocation-view.ts';

const CACHED = 300_000;
const FIRST_SEEN = 2_000;
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ieee = { dsaEncoding: 'ieee-p1363' } as const;
const key = ownVerificationKey(randomUUID(), 'ES256', privateKey, publicKey);
const view = createRevocationView();
const engine = createEngine({
  issuer: 'http://localhost',
  keys: [key],
  revalidateSeconds: 1,
  view,
  maxViewAgeMs: 600_000,
  cacheBytes: 64 * 1024 * 1024,
  now: () => new Date(),
});

function issue(): string {
  const iat = Math.floor(Date.now() / 1000);
  const id = { sub: randomUUID(), jti: randomUUID(), sid: randomUUID() };
  const claims = { iss: 'http://localhost', aud: ['latchkey'], client_id: 'latchkey', iat, exp: iat + 3600, ...id };
  const user = { email: 'grace@people.example', email_verified: true, refresh_counter: 1 };
  const payload = { ...claims, ...user, roles: ['user'], epoch: 1, roles_epoch: 0 } satisfies AccessClaims;
  const parts = [accessTokenHeader(key), payload].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  const signed = parts.join('.');
  return `${signed}.${sign('sha256', Buffer.from(signed), { ...ieee, key: privateKey }).toString('base64url')}`;
}

function microseconds(count: number, work: (n: number) => void): number {
  const startedAt = performance.now();
  for (let n = 0; n < count; n += 1) work(n);
  return ((performance.now() - startedAt) * 1000) / count;
}

const judge = (token: string) => {
  const verdict = engine.judge(token, 'latchkey');
  if (!('decision' in verdict)) throw new Error('rejected');
};
// A new string each time, as from the wire, so that its hash has to be computed.
const bytes = Array.from({ length: 1_000 }, () => Buffer.from(issue()));
const message = Buffer.from('x'.repeat(480));
const signature = sign('sha256', message, { ...ieee, key: privateKey });

for (let round = 0; round < Number(process.argv[2] ?? 5); round += 1) {
  view.confirm(performance.now());
  const fresh = Array.from({ length: FIRST_SEEN }, issue);
  const firstSeen = microseconds(FIRST_SEEN, (n) => judge(fresh[n] as string));
  const cached = microseconds(CACHED, (n) => judge((bytes[n % bytes.length] as Buffer).toString('latin1')));
  const publicSignature = microseconds(FIRST_SEEN, () =>
    verify('sha256', message, { ...ieee, key: publicKey }, signature),
  );
  console.log(JSON.stringify({ firstSeen, cached, publicSignature }));
}
