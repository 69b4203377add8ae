/** The first key seals, and all are accepted while one master key replaces another. */
export type KeyRing = readonly [Buffer, ...Buffer[]];
