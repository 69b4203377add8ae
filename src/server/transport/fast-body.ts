/** A body that is still arriving. */
export type Body = {
  /** @returns the number of bytes still missing; negative when Connect must answer this request */
  add(chunk: Buffer): number;
  /** All bytes received so far, in one piece; null for none. */
  bytes(): Buffer | null;
};

/** @param lengthOf computes the length of the whole body from its start */
export function createBody(lengthOf: (start: Buffer) => number): Body {
  // Joined only when needed: a body may arrive byte by byte.
  let chunks: Buffer[] = [];
  let arrived = 0;
  let expected = 0;

  function bytes(): Buffer | null {
    if (chunks.length > 1) chunks = [Buffer.concat(chunks)];
    return chunks[0] ?? null;
  }

  return {
    add(chunk) {
      chunks.push(chunk);
      arrived += chunk.length;
      const start = arrived < expected ? null : bytes();
      if (start) expected = lengthOf(start);
      return expected - arrived;
    },
    bytes,
  };
}
