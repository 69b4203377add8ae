// Sets up the person who grants roles in a row.
import { randomUUID } from 'node:crypto';
import type { DescMethodUnary, JsonValue } from '@bufbuild/protobuf';
import { account, auth } from '../support/clients.ts';
import { callOnce } from './client.ts';
import type { Load } from './load.ts';
import type { Administrator } from './people.ts';
import type { PostgresPair } from './postgres-pair.ts';

/** Ends the request ids of calls that are not part of the load. */
export const SETUP = 'setup';

export async function createAdministrator(load: Load, postgres: Pick<PostgresPair, 'primary'>): Promise<Administrator> {
  const person = { email: `${randomUUID()}@administrators.example`, password: `pass phrase ${randomUUID()}` };
  const call = async (method: DescMethodUnary, input: JsonValue, bearer?: string) => {
    const requestId = `${load.ledger.prefix}${SETUP}`;
    const answer = await callOnce(load.servers[0].port, { method, input, requestId, ...(bearer && { bearer }) });
    if (answer.code !== 'ok')
      throw new Error(`setting up the administrator: ${method.name}: ${answer.code} ${answer.reason}`);
    return answer.body;
  };
  const { user } = await call(auth.register, { ...person, fullName: 'Ada Lovelace' });
  await postgres.primary.query("INSERT INTO user_roles VALUES ($1, 'admin', now())", [user.id]);
  const { tokens } = await call(auth.login, person);
  const renewed = await call(account.reauthenticate, { currentPassword: person.password }, tokens.accessToken);
  return { accessToken: renewed.tokens.accessToken };
}
