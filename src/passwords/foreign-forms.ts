// How other systems write hashes. A form becomes a stored form, or another one of this table.
import { BASE64, decodeBase64, decodeSalt, encodeBase64 } from './hash-text.ts';
import { translateKeycloak } from './keycloak-credential.ts';

type Groups = Record<string, string>;
type Form = { system: string; form: RegExp; translate: (groups: Groups) => string | null };

const SALT = '(?<salt>[^$]{1,128})';
const KEY = `(?<key>${BASE64})`;
/** Whole digests of SHA-1, SHA-256 and SHA-512. */
const HEX = '(?<key>[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{128})';
const BCRYPT = String.raw`\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}`;

const FORMS: Form[] = [
  // Spring, Dovecot, LDAP: the name of the algorithm in braces before its usual form
  {
    system: 'Spring, Dovecot, LDAP',
    form: /^\{(?:bcrypt|argon2|argon2@SpringSecurity_v5_8|CRYPT|BLF-CRYPT|ARGON2I|ARGON2ID|SHA256-CRYPT|SHA512-CRYPT)\}(?<rest>\$(?:2[abxy]|5|6|argon2\w+)\$.+)$/i,
    translate: ({ rest }) => rest ?? null,
  },
  {
    system: 'Spring {pbkdf2}: 8 bytes of salt and 32 of digest',
    form: /^\{pbkdf2\}(?<salt>[0-9a-f]{16})(?<key>[0-9a-f]{64})$/,
    translate: ({ salt, key }) => pbkdf2('sha1', 185_000, hex(salt), hex(key)),
  },
  {
    system: 'Spring {pbkdf2@SpringSecurity_v5_8}: 16 bytes of salt',
    form: /^\{pbkdf2@SpringSecurity_v5_8\}(?<salt>[0-9a-f]{32})(?<key>[0-9a-f]{64})$/,
    translate: ({ salt, key }) => pbkdf2('sha256', 310_000, hex(salt), hex(key)),
  },
  {
    system: 'Spring {scrypt}: the parameters are one hexadecimal number',
    form: new RegExp(
      String.raw`^\{scrypt(?:@SpringSecurity_v5_8)?\}\$(?<n>[0-9a-f]{5,8})\$(?<salt>${BASE64})\$${KEY}$`,
    ),
    translate({ n = '', salt, key }) {
      const bits = Number.parseInt(n, 16);
      return scrypt({ logN: bits >>> 16, r: (bits >>> 8) & 0xff, p: bits & 0xff }, decodeSalt(salt), decodeBase64(key));
    },
  },
  // Django
  { system: 'Django argon2', form: /^argon2(?<rest>\$argon2.+)$/, translate: ({ rest }) => rest ?? null },
  { system: 'Django bcrypt', form: new RegExp(`^bcrypt\\$(?<rest>${BCRYPT})$`), translate: ({ rest }) => rest ?? null },
  {
    system: 'Django bcrypt_sha256',
    form: new RegExp(`^bcrypt_sha256\\$(?<rest>${BCRYPT})$`),
    translate: ({ rest }) => overDigest('sha256-hex', rest),
  },
  {
    system: 'Django pbkdf2: the salt is text',
    form: new RegExp(String.raw`^pbkdf2_(?<digest>sha1|sha256)\$(?<n>\d{1,10})\$${SALT}\$${KEY}$`),
    translate: ({ digest, n, salt, key }) => pbkdf2(digest, n, utf8(salt), decodeBase64(key)),
  },
  {
    system: 'Django scrypt',
    form: new RegExp(String.raw`^scrypt\$(?<n>\d{1,10})\$${SALT}\$(?<r>\d{1,3})\$(?<p>\d{1,3})\$${KEY}$`),
    translate: ({ n, salt, r, p, key }) => scrypt({ n, r, p }, utf8(salt), decodeBase64(key)),
  },
  // Werkzeug
  {
    system: 'Werkzeug pbkdf2',
    form: new RegExp(String.raw`^pbkdf2:(?<digest>sha1|sha256|sha512):(?<n>\d{1,10})\$${SALT}\$${HEX}$`),
    translate: ({ digest, n, salt, key }) => pbkdf2(digest, n, utf8(salt), hex(key)),
  },
  {
    system: 'Werkzeug scrypt',
    form: new RegExp(String.raw`^scrypt:(?<n>\d{1,10}):(?<r>\d{1,3}):(?<p>\d{1,3})\$${SALT}\$${HEX}$`),
    translate: ({ n, r, p, salt, key }) => scrypt({ n, r, p }, utf8(salt), hex(key)),
  },
  // passlib
  {
    system: 'passlib bcrypt_sha256, version 1',
    form: /^\$bcrypt-sha256\$(?<minor>2[aby]),(?<n>\d\d?)\$(?<salt>[./A-Za-z0-9]{22})\$(?<key>[./A-Za-z0-9]{31})$/,
    translate: ({ minor, n = '', salt, key }) =>
      overDigest('sha256-base64', `$${minor}$${n.padStart(2, '0')}$${salt}${key}`),
  },
  {
    system: 'passlib bcrypt_sha256, version 2',
    form: /^\$bcrypt-sha256\$v=2,t=(?<minor>2[aby]),r=(?<n>\d\d?)\$(?<salt>[./A-Za-z0-9]{22})\$(?<key>[./A-Za-z0-9]{31})$/,
    translate: ({ minor, n = '', salt, key }) =>
      overDigest('hmac-sha256', `$${minor}$${n.padStart(2, '0')}$${salt}${key}`),
  },
  {
    system: 'passlib and PHC pbkdf2, also padded',
    form: new RegExp(
      String.raw`^\$pbkdf2(?:-(?<digest>sha1|sha256|sha512))?\$(?:i=)?(?<n>\d{1,10})(?:,l=\d{1,3})?\$(?<salt>${BASE64})\$${KEY}$`,
    ),
    translate: ({ digest = 'sha1', n, salt, key }) => pbkdf2(digest, n, decodeSalt(salt), decodeBase64(key)),
  },
  {
    system: 'passlib ldap_pbkdf2',
    form: new RegExp(
      String.raw`^\{PBKDF2(?:-(?<digest>SHA1|SHA256|SHA512))?\}(?<n>\d{1,10})\$(?<salt>${BASE64})\$${KEY}$`,
    ),
    translate: ({ digest = 'sha1', n, salt, key }) =>
      pbkdf2(digest.toLowerCase(), n, decodeSalt(salt), decodeBase64(key)),
  },
  {
    system: 'Atlassian: 16 bytes of salt and 32 of digest',
    form: /^\{PKCS5S2\}(?<key>[A-Za-z0-9+/]{64})$/,
    translate: ({ key = '' }) => {
      const bytes = Buffer.from(key, 'base64');
      return pbkdf2('sha1', 10_000, bytes.subarray(0, 16), bytes.subarray(16));
    },
  },
  // scrypt of passlib and Ory: Ory writes N in place of its logarithm
  {
    system: 'PHC, passlib and Ory scrypt, also padded',
    form: new RegExp(
      String.raw`^\$scrypt\$ln=(?<n>\d{1,10}),r=(?<r>\d{1,3}),p=(?<p>\d{1,3})\$(?<salt>${BASE64})\$${KEY}$`,
    ),
    translate({ n, r, p, salt, key }) {
      const cost = Number(n) < 32 ? { logN: n } : { n };
      return scrypt({ ...cost, r, p }, decodeSalt(salt), decodeBase64(key));
    },
  },
  {
    system: 'better-auth: the salt is the text, not its bytes',
    form: /^(?<salt>[0-9a-f]{32}):(?<key>[0-9a-f]{128})$/,
    translate: ({ salt, key }) => scrypt({ logN: 14, r: 16, p: 1 }, utf8(salt), hex(key), '-nfkc'),
  },
  {
    system: 'Firebase, as Ory writes it',
    form: new RegExp(
      String.raw`^\$firescrypt\$ln=(?<n>\d{1,2}),r=(?<r>\d{1,2}),p=(?<p>\d)\$(?<salt>${BASE64})\$${KEY}\$(?<separator>${BASE64})\$(?<signer>${BASE64})$`,
    ),
    translate: firebase,
  },
  {
    system: 'Firebase, as Supabase writes it',
    form: new RegExp(
      String.raw`^\$fbscrypt\$v=1,n=(?<n>\d{1,2}),r=(?<r>\d{1,2}),p=(?<p>\d)(?:,ss=(?<separator>${BASE64}))?,sk=(?<signer>${BASE64})\$(?<salt>${BASE64})\$${KEY}$`,
    ),
    translate: firebase,
  },
  // ASP.NET Core Identity: bytes with a version before them
  {
    system: 'ASP.NET Identity, versions 2 and 3',
    form: /^(?<key>A[A-Q][A-Za-z0-9+/]{62,170}={0,2})$/,
    translate: ({ key }) => aspNet(decodeBase64(key)),
  },
  // PHP
  {
    system: 'WordPress since 6.8',
    form: new RegExp(`^\\$wp(?<rest>${BCRYPT})$`),
    translate: ({ rest }) => overDigest('hmac-sha384', rest),
  },
  {
    system: 'phpass: WordPress before 6.8, phpBB',
    form: /^\$[PH]\$(?<n>[./0-9A-Za-z])(?<salt>[./0-9A-Za-z]{8})(?<key>[./0-9A-Za-z]{22})$/,
    translate: ({ n = '', salt, key }) => `$phpass-md5$ln=${CRYPT64.indexOf(n)}$${encodeBase64(utf8(salt))}$${key}`,
  },
  {
    system: 'Drupal 7 to 10',
    form: /^\$S\$(?<n>[./0-9A-Za-z])(?<salt>[./0-9A-Za-z]{8})(?<key>[./0-9A-Za-z]{43})$/,
    translate: ({ n = '', salt, key }) => `$phpass-sha512$ln=${CRYPT64.indexOf(n)}$${encodeBase64(utf8(salt))}$${key}`,
  },
  // crypt(3)
  {
    system: 'sha256-crypt and sha512-crypt',
    form: /^\$(?<id>[56])\$(?:rounds=(?<n>\d{1,10})\$)?(?<salt>[^$:\n]{1,16})\$(?<key>[./0-9A-Za-z]{43,86})$/,
    translate: ({ id, n = '5000', salt, key }) =>
      `$${id === '5' ? 'sha256' : 'sha512'}-crypt$r=${Math.max(Number(n), 1_000)}$${encodeBase64(utf8(salt))}$${key}`,
  },
  {
    system: 'Dovecot and LDAP: the salt follows the digest',
    form: /^\{SSHA512(?:\.b64)?\}(?<key>[A-Za-z0-9+/]{86,200}={0,2})$/i,
    translate({ key }) {
      const bytes = decodeBase64(key);
      if (!bytes || bytes.length <= 64) return null;
      return `$salted-sha512$l=64$${encodeBase64(bytes.subarray(64))}$${encodeBase64(bytes.subarray(0, 64))}`;
    },
  },
];

const CRYPT64 = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** Null for a text that no other system writes, or that has no other form than the stored one. */
export function translateForeign(text: string): string | null {
  const keycloak = translateKeycloak(text);
  if (keycloak !== null) return keycloak;
  for (const { form, translate } of FORMS) {
    const groups = form.exec(text)?.groups;
    if (groups) return translate(groups);
  }
  return null;
}

function utf8(text = ''): Buffer {
  return Buffer.from(text);
}

function hex(text = ''): Buffer {
  return Buffer.from(text, 'hex');
}

type Bytes = Buffer | null;

function pbkdf2(digest = '', rounds: number | string = '', salt: Bytes, key: Bytes): string | null {
  return salt && key && `$pbkdf2-${digest}$i=${Number(rounds)}$${encodeBase64(salt)}$${encodeBase64(key)}`;
}

type Parameter = number | string | undefined;
/** Either N or its logarithm. */
type ScryptCost = { n?: Parameter; logN?: Parameter; r: Parameter; p: Parameter };

function scrypt({ n, logN, r, p }: ScryptCost, salt: Bytes, key: Bytes, variant = ''): string | null {
  const exponent = logN === undefined ? Math.log2(Number(n)) : Number(logN);
  if (!salt || !key || !Number.isInteger(exponent)) return null;
  return `$scrypt${variant}$ln=${exponent},r=${Number(r)},p=${Number(p)}$${encodeBase64(salt)}$${encodeBase64(key)}`;
}

function overDigest(name: string, bcrypt = ''): string {
  return `$bcrypt-${name}$r=${bcrypt.slice(4, 6)}$${bcrypt.slice(7, 29)}$${bcrypt.slice(29)}`;
}

/** The hash is the project's signer key XOR a stream of the derived key: the stored form needs the stream only. */
function firebase({ n, r, p, salt, separator = '', signer, key }: Groups): string | null {
  const [saltBytes, separatorBytes, signerKey, hash] = [
    decodeSalt(salt),
    Buffer.from(separator, 'base64'),
    decodeBase64(signer),
    decodeBase64(key),
  ];
  if (!saltBytes || signerKey?.length !== 64 || hash?.length !== 64) return null;
  const stream = Buffer.from(hash.map((byte, at) => byte ^ (signerKey[at] as number)));
  return scrypt({ logN: n, r, p }, Buffer.concat([saltBytes, separatorBytes]), stream, '-firebase');
}

const [VERSION_2, VERSION_3] = [0, 1];
const PRF = ['sha1', 'sha256', 'sha512'];

function aspNet(bytes: Bytes): string | null {
  if (!bytes) return null;
  if (bytes[0] === VERSION_2 && bytes.length === 49) {
    return pbkdf2('sha1', 1_000, bytes.subarray(1, 17), bytes.subarray(17));
  }
  if (bytes[0] !== VERSION_3 || bytes.length < 13) return null;
  const [prf, rounds, saltLength] = [bytes.readUInt32BE(1), bytes.readUInt32BE(5), bytes.readUInt32BE(9)];
  const digest = PRF[prf];
  if (digest === undefined || saltLength < 1 || saltLength >= bytes.length - 13) return null;
  return pbkdf2(digest, rounds, bytes.subarray(13, 13 + saltLength), bytes.subarray(13 + saltLength));
}
