// The algorithms of access tokens (RFC 7518, RFC 8037), by the names that Latchkey writes.
export const SIGNING_ALGORITHMS = ['ES256', 'EdDSA', 'RS256'] as const;
export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number];

/** RFC 9864 section 2.2 names EdDSA with this curve `Ed25519`. Many libraries know only the older name. */
const OTHER_NAMES: Record<string, SigningAlgorithm> = { Ed25519: 'EdDSA' };

/** Null for a name of no algorithm of ours. */
export function signingAlgorithmOf(name: string): SigningAlgorithm | null {
  const known = SIGNING_ALGORITHMS.find((algorithm) => algorithm === name);
  return known ?? (Object.hasOwn(OTHER_NAMES, name) ? (OTHER_NAMES[name] ?? null) : null);
}

/** All names of an algorithm. Latchkey writes the first one. */
export function namesOf(algorithm: SigningAlgorithm): string[] {
  return [algorithm, ...Object.keys(OTHER_NAMES).filter((name) => OTHER_NAMES[name] === algorithm)];
}
