/** A body as it arrives. */
export type Body = {
  /** @returns how many bytes are missing for all that is known; negative when this has to be answered by Connect */
  add(chunk: Buffer): number;
  /** What has arrived, in one piece; null for nothing. */
  bytes(): Buffer | null;
};

/** @param lengthOf the length of the whole as far as its beginning tells */
export function createBody(lengthOf: (start: Buffer) => number): Body {
  // Put together only when something depends on it: a body may come byte by byte.
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
