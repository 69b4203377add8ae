import { z } from 'zod';
import { isLoopback } from '../../domain/loopback.ts';
import type { RelyingParty } from '../../factors/ceremony.ts';
import { check, items } from '../formats.ts';
import { API, type Format, type Keys, type Values } from '../key.ts';

const NAME: Format<string> = check('a name of 1 to 64 characters', z.string(), (name) =>
  /^[^\p{C}]{1,64}$/u.test(name),
);

const HOST: Format<string> = check(
  'a host name such as example.com, without a port',
  items.transform((list) => list.join()),
  (host) => URL.parse(`https://${host}`)?.host === host,
);

const ORIGINS: Format<string[]> = check(
  'origins such as https://app.example.com, or http://localhost:3000 on this machine',
  items,
  (list) =>
    list.every((item) => {
      const url = URL.parse(item);
      const isPrivate = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname));
      return isPrivate && url.origin === item;
    }),
);

export const FACTOR_KEYS = {
  PRODUCT_NAME: {
    format: NAME,
    defaultText: 'host of PUBLIC_URL',
    usedBy: API,
    help: 'The name of your product in authenticator apps and in the prompts for passkeys.',
  },
  WEBAUTHN_RP_ID: {
    format: HOST,
    defaultText: 'host of PUBLIC_URL',
    usedBy: API,
    help: 'The domain that passkeys belong to. It is the host of every page that uses them, or a parent domain. A change makes all passkeys useless.',
  },
  WEBAUTHN_ORIGINS: {
    format: ORIGINS,
    defaultText: 'origin of PUBLIC_URL',
    usedBy: API,
    help: 'The origins of the pages that use passkeys.',
  },
} as const satisfies Keys;

/** @param problems receives an origin that no passkey of the relying party can be used on */
export function relyingParty(values: Values<typeof FACTOR_KEYS>, publicUrl: string, problems: string[]): RelyingParty {
  const { hostname, origin } = new URL(publicUrl);
  const id = values.WEBAUTHN_RP_ID ?? hostname;
  const origins = values.WEBAUTHN_ORIGINS ?? [origin];
  const isBelow = (host: string) => host === id || host.endsWith(`.${id}`);
  if (!origins.every((item) => isBelow(new URL(item).hostname))) {
    problems.push('WEBAUTHN_ORIGINS must have the host WEBAUTHN_RP_ID, or hosts below it');
  }
  return { id, origins, name: values.PRODUCT_NAME ?? hostname };
}
