export type Body = {
  /** @returns the number of bytes still missing; negative when Connect must answer this request */
  add(chunk: Buffer): number;
  bytes(): Buffer | null;
};

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
