/**
 * The keys of one purpose. The first one seals; all of them are accepted. A ring has several keys while one master key
 * replaces another.
 */
export type KeyRing = readonly [Buffer, ...Buffer[]];
