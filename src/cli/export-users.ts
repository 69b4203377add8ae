// `users export`: every account with its secrets, as `users import` reads it.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { actorName } from '../domain/actor.ts';
import { parseReason } from '../domain/admin-reason.ts';
import { audit } from '../domain/effect.ts';
import type { KeyRing } from '../domain/key-ring.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { decryptSecret } from '../domain/secret-encryption.ts';
import { totpUri } from '../factors/totp.ts';
import { OperatorError } from '../process/operator-error.ts';
import type { StoredFactor } from '../store/factor-rows.ts';
import type { ExportedUser } from '../store/user-export.ts';
import type { Members } from './import/members.ts';
import type { Operator } from './operator.ts';
import type { Output } from './output.ts';

const PAGE = 500;

/** The export is audited before it begins. @throws OperatorError when a TOTP secret cannot be decrypted */
export async function exportUsers(operator: Operator, reasonText: string, output: Output): Promise<void> {
  const { deps, actor, call } = operator;
  const { reason } = parseFields({ reason: () => parseReason(reasonText) });
  const { totpSecrets } = await operator.purposeKeys();
  const event = { actor: actorName(actor), detail: reason, origin: call.origin };
  await deps.store.outbox.write(deps.now(), [audit({ ...event, type: 'users_exported' })]);
  const counts = { users: 0, expiringGrants: 0 };
  await pipeline(Readable.from(linesOf(operator, totpSecrets, counts)), process.stdout, { end: false });
  if (counts.expiringGrants > 0) {
    output.note(`left out: grants of roles that expire (${counts.expiringGrants}): an import grants roles for ever`);
  }
  output.note(`${counts.users} accounts exported`);
}

async function* linesOf(
  { deps: { store } }: Operator,
  totpKeys: KeyRing,
  counts: { users: number; expiringGrants: number },
): AsyncGenerator<string> {
  let after: string | null = null;
  for (;;) {
    const users: ExportedUser[] = await store.userExport.page(after, PAGE);
    const last = users.at(-1);
    if (!last) return;
    counts.users += users.length;
    for (const user of users) counts.expiringGrants += user.expiringGrants;
    yield users.map((user) => `${JSON.stringify(membersOf(user, totpKeys))}\n`).join('');
    after = last.id;
  }
}

function membersOf(user: ExportedUser, totpKeys: KeyRing): Members {
  return {
    ...{ id: user.id, external_id: user.externalId, email: user.email, email_verified: user.emailVerified },
    ...{ full_name: user.fullName, password_hash: user.passwordHash, disabled: user.disabled },
    ...{ created_at: user.createdAt, roles: user.roles, identities: user.identities },
    factors: user.factors.map((factor) => factorMembers(factor, user.email, totpKeys)),
  };
}

function factorMembers(factor: StoredFactor, account: string, totpKeys: KeyRing): object {
  const { name } = factor;
  if (factor.kind === 'totp') {
    const secret = decryptSecret(factor.secret, factor.id, totpKeys)?.bytes;
    if (!secret) throw new OperatorError(`factor ${factor.id} cannot be decrypted with this MASTER_KEY: see "doctor"`);
    return { name, totp_uri: totpUri({ secret, issuer: 'Latchkey', account }) };
  }
  const passkey = {
    credential_id: factor.credentialId.toString('base64url'),
    public_key: factor.publicKey.toString('base64url'),
    counter: factor.signCount,
    user_handle: factor.userHandle.toString('base64url'),
    ...{ transports: factor.transports, backed_up: factor.backedUp },
  };
  return { name, passkey };
}
