// Which service a client's certificate speaks for.
import type { TLSSocket } from 'node:tls';

/** As Node writes subject alternative names: by comma, and in quotes, as JSON, where a name holds something odd. */
const NAME = /(?:^|, )(DNS|URI):("(?:[^"\\]|\\.)*"|[^,"]*)|(?:^|, )[^:,"]+:(?:"(?:[^"\\]|\\.)*"|[^,"]*)/gy;

/** A service by its certificate, for as long as that is valid. */
export type CertifiedService = { name: string; until: Date };

/**
 * The first of these identities that the certificate names: a SPIFFE ID (the certificate must have no other URI, as an X.509-SVID)
 * or a DNS name.
 * @param socket whose certificate has been verified
 */
export function certifiedService(socket: TLSSocket, identities: string[]): CertifiedService | null {
  const certificate = socket.getPeerX509Certificate();
  const name = identityOf(certificate?.subjectAltName ?? '', identities);
  return certificate && name !== null ? { name, until: certificate.validToDate } : null;
}

export function identityOf(alternativeNames: string, identities: string[]): string | null {
  const names = [...alternativeNames.matchAll(NAME)];
  // All of it must have been understood, or a name could hide another.
  if (names.reduce((length, [text]) => length + text.length, 0) !== alternativeNames.length) return null;
  const of = (kind: string) => names.flatMap(([, its, name]) => (its === kind && name !== undefined ? [name] : []));
  const uris = of('URI');
  const dns = of('DNS').map((name) => name.toLowerCase());
  const isNamed = (identity: string) =>
    identity.startsWith('spiffe://') ? uris.length === 1 && uris[0] === identity : dns.includes(identity);
  return identities.find(isNamed) ?? null;
}
