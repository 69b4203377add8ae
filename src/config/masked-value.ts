// Shows the value of a key without its secrets. A part is shown only if it has the form of one that is no secret.
import { serviceKeyFingerprint } from '../keys/service-keys.ts';
import { itemsOf } from './formats.ts';

const MASK = '***';
const MAX_LENGTH = 300;
const HOST = String.raw`(?:[\w.-]+|\[[0-9a-f:.%]+\])(?::\d{1,5})?`;
const URL_PARTS = new RegExp(
  String.raw`^([a-z][a-z0-9+.-]*://)(?:([^@?#]*)@)?((?:${HOST})?(?:,${HOST})*)(/[\w./~-]*)?(?:\?([^@#]*))?$`,
  'i',
);
const SCHEME = /^[a-z][a-z0-9+.-]*:\/\//i;
/** Parameters of connections that hold no secret. */
const PLAIN_PARAMETERS = new Set(
  'sslmode sslrootcert sslcert application_name connect_timeout target_session_attrs options host port db name tls.servername'.split(
    ' ',
  ),
);

/** Parameters whose names are shown. An unknown name can be a part of a secret. */
const SECRET_PARAMETERS = new Set(['user', 'username', 'password', 'sentinel_username', 'sentinel_password', 'sslkey']);

export function maskedSecret(name: string, value: string): string {
  if (name === 'SERVICE_KEYS') return maskedServiceKeys(value);
  return SCHEME.test(value) ? maskedUrl(value) : MASK;
}

/** Also a value that is not meant to be secret can hold a login, or a key that was put into the wrong variable. */
export function maskedPlain(value: string): string {
  if (value.includes('-----BEGIN')) return MASK;
  const hidden = itemsOf(value)
    .map((item) => (/:\/\/.*[@?#]/s.test(item) ? maskedUrl(item) : item))
    .join(',');
  return (value.includes('://') ? hidden : value).slice(0, MAX_LENGTH);
}

/** Scheme, user, hosts, path and harmless parameters. A URL in another form shows only its scheme. */
function maskedUrl(url: string): string {
  const [, scheme, login, hosts, path = '', query] = URL_PARTS.exec(url) ?? [];
  if (scheme === undefined) return `${SCHEME.exec(url)?.[0] ?? ''}${MASK}`;
  return `${scheme}${login === undefined ? '' : `${maskedLogin(login)}@`}${hosts}${path}${maskedQuery(query)}`;
}

function maskedLogin(login: string): string {
  const [, user = '', hasPassword] = /^([\w.-]*)(:)?/.exec(login) ?? [];
  const isWhole = user.length === login.length || hasPassword !== undefined;
  // Without a colon the name can be a password that was put into its place.
  return isWhole && hasPassword ? `${user}:${MASK}` : MASK;
}

function maskedQuery(query: string | undefined): string {
  if (query === undefined) return '';
  const parts = query.split('&').map((part) => {
    const [name = '', ...values] = part.split('=');
    if (PLAIN_PARAMETERS.has(name)) return `${name}=${values.join('=')}`;
    return SECRET_PARAMETERS.has(name) ? `${name}=${MASK}` : MASK;
  });
  return `?${parts.join('&')}`;
}

/** An operator finds a key by its fingerprint. */
function maskedServiceKeys(value: string): string {
  return itemsOf(value)
    .map((item) => {
      const [, name, key = ''] = /^([a-z][a-z0-9-]{0,62})=(.*)$/s.exec(item) ?? [];
      return name === undefined ? MASK : `${name}=${MASK} (key ${serviceKeyFingerprint(key)})`;
    })
    .join(', ');
}
