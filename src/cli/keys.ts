// `keys`: what signs access tokens, and the master key that protects it.
import { listSigningKeys } from '../admin/list-signing-keys.ts';
import { retireSigningKey } from '../admin/retire-signing-key.ts';
import { rotateSigningKeys } from '../admin/rotate-signing-keys.ts';
import { parseReason } from '../domain/admin-reason.ts';
import { parseFields } from '../domain/parse-fields.ts';
import type { Operator } from './operator.ts';
import type { Output } from './output.ts';

export async function showSigningKeys({ deps }: Operator, output: Output): Promise<void> {
  const keys = await listSigningKeys(deps);
  output.rows(
    keys.map(({ kid, algorithm, state, publishedAt, signsFrom, activatedAt, retiringAt, retiredAt }) => ({
      kid,
      algorithm,
      state,
      published_at: publishedAt,
      signs_from: signsFrom,
      activated_at: activatedAt,
      retiring_at: retiringAt,
      retired_at: retiredAt,
    })),
    'no signing keys: the service makes them when it starts',
  );
}

export async function rotateKeys(operator: Operator, reason: string, output: Output): Promise<void> {
  const { deps, actor, call } = operator;
  await rotateSigningKeys({ ...deps, keyRotation: operator.keyRotation() }, { actor, reason }, call);
  output.say('another key signs; tokens of the one before stay good');
}

export async function retireKey(operator: Operator, kid: string, reason: string, output: Output): Promise<void> {
  const { deps, actor, call } = operator;
  await retireSigningKey({ ...deps, keyRotation: operator.keyRotation() }, { actor, kid, reason }, call);
  output.say(
    `${kid} is retired; within a second no token that it has signed is good any more; who keeps the JWKS hears of it with the next one`,
  );
}

/** Encrypts under MASTER_KEY what is encrypted under another one of MASTER_KEY_ACCEPTED. */
export async function reencryptKeys(operator: Operator, given: string, output: Output): Promise<void> {
  const { actor, call } = operator;
  const { reason } = parseFields({ reason: () => parseReason(given) });
  const why = { actor, detail: reason, origin: call.origin };
  const kids = await operator.keyRotation().reencrypt(why);
  output.rows(
    kids.map((kid) => ({ reencrypted: kid })),
    'every key is encrypted under MASTER_KEY',
  );
}
