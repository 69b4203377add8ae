// Forms of other systems that an import rejects, by their names.

type Rejected = { form: RegExp; name: string };

const FAST =
  'too fast to protect a password: import the account without a hash, and the user sets a password by the reset mail';
const UNSUPPORTED =
  'which this service does not compute: import the account without a hash, and the user sets a password by the reset mail';

const TOO_FAST: Rejected[] = [
  { form: /^(\{CRYPT\})?\$1\$/i, name: 'md5-crypt ($1$)' },
  { form: /^\$apr1\$/, name: 'md5-crypt of Apache ($apr1$)' },
  { form: /^\{(MD4|MD5|SMD5|PLAIN-MD5|LDAP-MD5|CRAM-MD5|DIGEST-MD5|HMAC-MD5|MD5-CRYPT)[.}]/i, name: 'MD5 or MD4' },
  { form: /^(\$md5|md5\$|unsalted_md5|md5[0-9a-f]{32}$|U\$)/, name: 'MD5' },
  { form: /^[0-9a-f]{32}(:.{0,64})?$/i, name: 'an MD5 or NTLM digest' },
  { form: /^(\$NT\$|\$3\$|\{(NT|NTLM|LANMAN|LM)\})/i, name: 'NTLM' },
  { form: /^\{(SHA|SSHA|SHA1|SHA-1)[.}]/i, name: 'SHA-1' },
  { form: /^(sha1\$|unsalted_sha1|\*[0-9A-F]{40}$|[0-9a-f]{40}$)/i, name: 'SHA-1' },
  { form: /^\{(SHA256|SHA-256|SSHA256)[.}]/i, name: 'SHA-256' },
  { form: /^(sha256\$|\$sha256\$|[0-9a-f]{64}$)/i, name: 'SHA-256' },
  {
    form: /^([0-9a-f]{96}|[0-9a-f]{128})$|^\{(SHA512|SHA-512)[.}]|^(\$sha384|\$sha512)\$/i,
    name: 'SHA-384 or SHA-512 without rounds',
  },
  { form: /^\$hmac-/, name: 'HMAC' },
  { form: /^\$sha1\$|^0x0[12]00[0-9a-f]+$/i, name: 'SHA-1' },
  { form: /^(\{(noop|PLAIN|CLEAR|CLEARTEXT)\}|plain\$)/i, name: 'a password in plain text' },
  { form: /^((\{CRYPT\}|crypt\$)[./0-9A-Za-z$]*|[./0-9A-Za-z]{13}|_[./0-9A-Za-z]{19})$/i, name: 'DES-crypt' },
];

const NOT_COMPUTED: Rejected[] = [
  { form: /^(\{CRYPT\})?\$g?y\$/i, name: 'yescrypt ($y$)' },
  { form: /^\$7\$/, name: 'scrypt of libxcrypt ($7$)' },
  {
    form: /^(\{argon2\})?(argon2)?\$argon2\w+\$.*\b(keyid|data)=/i,
    name: 'argon2 with a secret key or additional data',
  },
  { form: /^SCRAM-SHA-/, name: 'SCRAM' },
  { form: /^\{ldap\}/i, name: 'a password that an LDAP server compares' },
  { form: /^[0-9a-f]{66,}$/i, name: 'a hexadecimal digest without its algorithm, salt and cost' },
];

/** Null for a form that is not in the list. */
export function rejectionOf(text: string): string | null {
  const fast = TOO_FAST.find(({ form }) => form.test(text));
  if (fast) return `is ${fast.name}, ${FAST}`;
  const other = NOT_COMPUTED.find(({ form }) => form.test(text));
  return other ? `is ${other.name}, ${UNSUPPORTED}` : null;
}
