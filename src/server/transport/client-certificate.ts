import type { TLSSocket } from 'node:tls';

/** Node's form of subject alternative names: separated by commas, with unusual names quoted as JSON. */
const NAME = /(?:^|, )(DNS|URI):("(?:[^"\\]|\\.)*"|[^,"]*)|(?:^|, )[^:,"]+:(?:"(?:[^"\\]|\\.)*"|[^,"]*)/gy;

type CertifiedService = { name: string; until: Date };

/** `unlistedName` is for the log: the first name of a certificate that identifies no service. */
export type ShownCertificate = { service: CertifiedService | null; unlistedName?: string };

const MAX_NAME = 200;

/**
 * A certificate with a SPIFFE ID must have no other URI (X.509-SVID).
 * @param socket its certificate must have been verified
 * @param identities DNS names and SPIFFE IDs, the preferred first
 */
export function shownCertificate(socket: TLSSocket, identities: string[]): ShownCertificate {
  const certificate = socket.getPeerX509Certificate();
  if (!certificate) return { service: null };
  const names = certificate.subjectAltName ?? '';
  const name = identityOf(names, identities);
  if (name !== null) return { service: { name, until: certificate.validToDate } };
  return { service: null, unlistedName: firstName(names) ?? certificate.subject?.slice(0, MAX_NAME) ?? 'no name' };
}

/** A SPIFFE ID before DNS names. */
function firstName(alternativeNames: string): string | null {
  const names = [...alternativeNames.matchAll(NAME)].flatMap(([, kind, name]) =>
    kind && name ? [{ kind, name }] : [],
  );
  const first = names.find(({ kind }) => kind === 'URI') ?? names[0];
  return first ? first.name.slice(0, MAX_NAME) : null;
}

export function identityOf(alternativeNames: string, identities: string[]): string | null {
  const names = [...alternativeNames.matchAll(NAME)];
  // Every part must match, or one name could hide another.
  if (names.reduce((length, [text]) => length + text.length, 0) !== alternativeNames.length) return null;
  const namesOfKind = (kind: string) =>
    names.flatMap(([, itsKind, name]) => (itsKind === kind && name !== undefined ? [name] : []));
  const uris = namesOfKind('URI');
  const dns = namesOfKind('DNS').map((name) => name.toLowerCase());
  const isNamed = (identity: string) =>
    identity.startsWith('spiffe://') ? uris.length === 1 && uris[0] === identity : dns.includes(identity);
  return identities.find(isNamed) ?? null;
}
