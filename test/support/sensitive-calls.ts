// The calls of AccountService that a thief of an access token would make.
import { randomUUID } from 'node:crypto';
import type { DescMethodUnary, JsonValue } from '@bufbuild/protobuf';
import type { TestApp } from './app.ts';
import { account, type Caller } from './clients.ts';
import { newPerson, type SignedIn } from './people.ts';

const REDIRECT = 'https://product.example/callback';

/** The settings for the calls. */
export const WITH_PROVIDER = {
  OAUTH_PROVIDERS: 'github',
  OAUTH_GITHUB_REDIRECT_URIS: REDIRECT,
  OAUTH_GITHUB_CLIENT_ID: 'x',
  OAUTH_GITHUB_CLIENT_SECRET: 'x',
};

type Prepare<Person> = (person: Person) => JsonValue | Promise<JsonValue>;
export type SensitiveCall<Person> = [name: string, method: DescMethodUnary, input: Prepare<Person>];

/** Those that take the password. @param anotherSession signs the person in again */
export function sensitiveCalls<Person extends SignedIn>(
  app: TestApp,
  call: Caller,
  anotherSession: (person: Person) => Promise<{ accessToken: string }>,
): SensitiveCall<Person>[] {
  async function otherSessionOf(person: Person): Promise<string> {
    const { accessToken: bearer } = await anotherSession(person);
    const { body } = await call(account.listSessions, {}, { bearer });
    return body.sessions.find(({ current }: { current: boolean }) => current).id;
  }

  async function identityOf({ userId }: SignedIn): Promise<string> {
    const { rows } = await app.owner.query(
      "INSERT INTO identities VALUES ($2, $1, 'github', 'https://x', gen_random_uuid(), now(), now()) RETURNING id",
      [userId, randomUUID()],
    );
    return rows[0].id;
  }

  return [
    ['ChangeEmail', account.changeEmail, () => ({ newEmail: newPerson().email })],
    ['RevokeSession', account.revokeSession, async (person) => ({ sessionId: await otherSessionOf(person) })],
    ['RevokeOtherSessions', account.revokeOtherSessions, () => ({})],
    ['StartLinkIdentity', account.startLinkIdentity, () => ({ provider: 'github', redirectUri: REDIRECT })],
    ['UnlinkIdentity', account.unlinkIdentity, async (person) => ({ identityId: await identityOf(person) })],
    ['StartAddTotp', account.startAddTotp, () => ({})],
    ['StartAddPasskey', account.startAddPasskey, () => ({})],
    ['DeleteMe', account.deleteMe, () => ({})],
  ];
}
