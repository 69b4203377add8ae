/**
 * The keys of one purpose. The first makes; what any of them has made is accepted. There are several while a master key comes
 * and another one goes.
 */
export type KeyRing = readonly [Buffer, ...Buffer[]];
