import type { TLSSocket } from 'node:tls';

/** Node's form of subject alternative names: separated by commas, with unusual names quoted as JSON. */
const NAME = /(?:^|, )(DNS|URI):("(?:[^"\\]|\\.)*"|[^,"]*)|(?:^|, )[^:,"]+:(?:"(?:[^"\\]|\\.)*"|[^,"]*)/gy;

export type CertifiedService = { name: string; until: Date };

/**
 * A certificate with a SPIFFE ID must have no other URI (X.509-SVID).
 * @param socket its certificate must have been verified
 * @param identities DNS names and SPIFFE IDs, the preferred first
 */
export function certifiedService(socket: TLSSocket, identities: string[]): CertifiedService | null {
  const certificate = socket.getPeerX509Certificate();
  const name = identityOf(certificate?.subjectAltName ?? '', identities);
  return certificate && name !== null ? { name, until: certificate.validToDate } : null;
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
