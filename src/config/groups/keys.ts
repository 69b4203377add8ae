import type { KeyRing } from '../../domain/key-ring.ts';
import type { KeyPolicy } from '../../domain/key-schedule.ts';
import { LAST_TOKEN_MS } from '../../verifier/access-token.ts';
import { check, integer, signingAlgorithm } from '../formats.ts';
import { API, EVERY_PROCESS, type Keys, SERVICE, type Values } from '../key.ts';
import { masterKey, masterKeys, serviceKeys } from '../secret-formats.ts';

const rotation = integer(0, 10 * 366 * 86_400, 'seconds');

export const MASTER_KEY_KEYS = {
  MASTER_KEY: {
    format: masterKey,
    isRequired: true,
    isSecret: true,
    usedBy: EVERY_PROCESS,
    help: 'The key that encrypts signing keys and from which keys for single purposes are derived.',
  },
  MASTER_KEY_ACCEPTED: {
    format: masterKeys,
    default: '',
    isSecret: true,
    usedBy: EVERY_PROCESS,
    help: 'Former or future master keys that are accepted as well while MASTER_KEY changes.',
  },
} as const satisfies Keys;

export const SIGNING_KEY_KEYS = {
  SIGNING_ALGORITHM: {
    format: signingAlgorithm,
    default: 'ES256',
    usedBy: SERVICE,
    help: 'The algorithm of new signing keys.',
  },
  KEY_ROTATION_SECONDS: {
    // Verifiers keep each key for an hour after its last signature, so a faster rotation would give them many keys.
    format: {
      ...check('0, or an hour (3600) and more', rotation.schema, (n) => n === 0 || n >= 3_600),
      unit: 'seconds',
    },
    default: String(30 * 86_400),
    usedBy: SERVICE,
    help: 'Time in which a key signs tokens; with 0 keys are only rotated by "keys rotate".',
  },
  KEY_PUBLISH_SECONDS: {
    format: integer(2, 30 * 86_400, 'seconds'),
    default: '3600',
    usedBy: SERVICE,
    help: 'Time in which a key is published before it signs. It must exceed the time for which verifiers cache the JWKS, whose max-age is at most half of it.',
  },
  SERVICE_KEYS: {
    format: serviceKeys,
    default: '',
    isSecret: true,
    usedBy: API,
    help: 'Keys of services that call the API, by name; the names appear in logs. A name with two keys accepts both, so that a key can be replaced without an outage.',
  },
} as const satisfies Keys;

export type KeySettings = {
  masterKeys: KeyRing;
  policy: KeyPolicy;
  /** By the name of the service. */
  serviceKeys: Map<string, string[]>;
};

export function masterKeyRing(values: Values<typeof MASTER_KEY_KEYS>): KeyRing {
  return [values.MASTER_KEY, ...values.MASTER_KEY_ACCEPTED];
}

export function keySettings(values: Values<typeof MASTER_KEY_KEYS & typeof SIGNING_KEY_KEYS>): KeySettings {
  return {
    masterKeys: masterKeyRing(values),
    policy: {
      algorithm: values.SIGNING_ALGORITHM,
      rotateEveryMs: values.KEY_ROTATION_SECONDS * 1000,
      publishMs: values.KEY_PUBLISH_SECONDS * 1000,
      keepMs: LAST_TOKEN_MS,
    },
    serviceKeys: values.SERVICE_KEYS,
  };
}
