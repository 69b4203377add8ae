import { listSigningKeys } from '../admin/list-signing-keys.ts';
import { retireSigningKey } from '../admin/retire-signing-key.ts';
import { rotateSigningKeys } from '../admin/rotate-signing-keys.ts';
import { parseReason } from '../domain/admin-reason.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { OperatorError } from '../process/operator-error.ts';
import type { Command } from './command.ts';
import type { Operator } from './operator.ts';
import { operatorCommand, REASON } from './operator-command.ts';
import type { Output } from './output.ts';

const MASTER_KEY = 'Requires the MASTER_KEY of the service.';

export const KEY_COMMANDS: Command[] = [
  operatorCommand({
    path: 'keys list',
    summary: 'Lists all signing keys with their state: published, active, retiring or retired.',
    run: (operator, { output }) => showSigningKeys(operator, output),
  }),
  operatorCommand({
    path: 'keys rotate',
    summary: 'Signs with the published key from now on. Tokens of the previous key stay valid.',
    details: `Workers rotate by themselves every KEY_ROTATION_SECONDS and publish the next key. ${MASTER_KEY}`,
    options: REASON,
    async run(operator, { options: { reason }, output }) {
      const { deps, actor, call } = operator;
      await rotateSigningKeys({ ...deps, keyRotation: await operator.keyRotation() }, { actor, reason }, call);
      output.message('The published key signs now. Tokens of the previous key stay valid.');
    },
  }),
  operatorCommand({
    path: 'keys retire',
    summary: 'Rejects every token that a signing key has signed, for a key that may have been stolen.',
    details: `Latchkey rejects the tokens within one second. Verifiers that only use the JWKS follow when they next refresh it (at most 300 seconds). ${MASTER_KEY}`,
    arguments: { kid: 'ID of the signing key' },
    options: REASON,
    async run(operator, { args: { kid }, options: { reason }, output }) {
      const { deps, actor, call } = operator;
      await retireSigningKey({ ...deps, keyRotation: await operator.keyRotation() }, { actor, kid, reason }, call);
      output.message(
        `${kid} is retired. Its tokens are rejected within 1 second; verifiers that only use the JWKS follow when they next refresh it (at most 300 seconds).`,
      );
    },
  }),
  operatorCommand({
    path: 'keys reencrypt',
    summary:
      'Encrypts under MASTER_KEY the signing keys and TOTP secrets that are encrypted under a key of MASTER_KEY_ACCEPTED.',
    details: 'Requires MASTER_KEY and MASTER_KEY_ACCEPTED of the service.',
    options: REASON,
    run: (operator, { options: { reason }, output }) => reencryptKeys(operator, reason, output),
  }),
];

async function showSigningKeys({ deps }: Operator, output: Output): Promise<void> {
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
    'no signing keys: the service creates them when it starts',
  );
}

async function reencryptKeys(operator: Operator, reasonText: string, output: Output): Promise<void> {
  const { actor, call, deps } = operator;
  const { reason } = parseFields({ reason: () => parseReason(reasonText) });
  const why = { actor, detail: reason, origin: call.origin };
  const kids = await (await operator.keyRotation()).reencrypt(why);
  const { totpSecrets: keys } = await operator.purposeKeys();
  const { reencryptTotpSecrets } = await import('../keys/reencrypt-totp-secrets.ts');
  const store = deps.store.totpSecrets;
  const { count, undecryptable } = await reencryptTotpSecrets({ store, keys, now: deps.now }, why);
  output.rows(
    kids.map((kid) => ({ reencrypted: kid })),
    'every signing key is encrypted under MASTER_KEY',
  );
  output.message(`${count} TOTP secrets were encrypted under MASTER_KEY`);
  if (undecryptable.length > 0) {
    throw new OperatorError(
      `the TOTP secrets of these factors cannot be decrypted with MASTER_KEY and MASTER_KEY_ACCEPTED: ${undecryptable.slice(0, 20).join(', ')}${undecryptable.length > 20 ? ` and ${undecryptable.length - 20} more` : ''}`,
    );
  }
}
