// The Huffman code of RFC 7541 Appendix B. It is canonical: codes of one length follow each other in the order of their
// symbols, and longer codes continue after shorter ones. So the lengths alone define it.

/** The length of each symbol's code, in base 32. The last one is EOS. */
const LENGTHS =
  'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca' +
  'd67777777777777777777777878djde6f56565666577666567655677777fbeds' +
  'kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn' +
  'qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrqu';
const EOS = 256;
/** Padding is shorter than this (section 5.2). */
const MAX_PADDING_BITS = 7;

// The decoder reads four bits at a time. Every code has five bits or more, so they complete at most one symbol. A state
// is a node of the code's tree; an entry is the next state with the completed symbol above it.
const SYMBOL_SHIFT = 16;
const NO_SYMBOL = 0xffff;
const STATE_MASK = 0xffff;
const FAILED = 0xfffe;

const { transitions, isAccepted } = buildDecoder();
let output: Buffer = Buffer.allocUnsafe(1024);

/**
 * @returns the text, one character a byte; null for a code that is incomplete, padded too long or with zeros, or EOS
 */
export function decodeHuffman(bytes: Buffer, start: number, end: number): string | null {
  // The shortest code has five bits.
  const most = Math.floor(((end - start) * 8) / 5);
  if (output.length < most) output = Buffer.allocUnsafe(2 * most);
  let state = 0;
  let length = 0;
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at] as number;
    for (let half = byte >> 4, second = false; ; half = byte & 15, second = true) {
      const entry = transitions[(state << 4) | half] as number;
      state = entry & STATE_MASK;
      if (state === FAILED) return null;
      const symbol = entry >>> SYMBOL_SHIFT;
      if (symbol !== NO_SYMBOL) output[length++] = symbol;
      if (second) break;
    }
  }
  return isAccepted[state] ? output.toString('latin1', 0, length) : null;
}

type Node = { children: [Node | null, Node | null]; symbol: number; state: number };

function buildDecoder(): { transitions: Uint32Array; isAccepted: Uint8Array } {
  const root = buildTree();
  const states: Node[] = [];
  number(root, states);
  const table = new Uint32Array(states.length * 16);
  for (const node of states) {
    for (let half = 0; half < 16; half += 1) table[(node.state << 4) | half] = transition(root, node, half);
  }
  // A text may end within a code only after a few ones, which begin EOS.
  const accepted = new Uint8Array(states.length);
  let padded: Node | null = root;
  for (let bits = 0; bits <= MAX_PADDING_BITS && padded; bits += 1) {
    accepted[padded.state] = 1;
    padded = padded.children[1];
  }
  return { transitions: table, isAccepted: accepted };
}

function transition(root: Node, from: Node, half: number): number {
  let node = from;
  let symbol = NO_SYMBOL;
  for (let bit = 3; bit >= 0; bit -= 1) {
    node = node.children[(half >> bit) & 1] as Node;
    if (node.symbol === EOS) return FAILED;
    if (node.symbol < 0) continue;
    symbol = node.symbol;
    node = root;
  }
  return ((symbol << SYMBOL_SHIFT) | node.state) >>> 0;
}

function buildTree(): Node {
  const root = createNode();
  const lengths = Array.from(LENGTHS, (digit) => Number.parseInt(digit, 32));
  const symbols = lengths.map((_, symbol) => symbol);
  symbols.sort((a, b) => (lengths[a] as number) - (lengths[b] as number) || a - b);
  let [code, before] = [0, 0];
  for (const symbol of symbols) {
    const length = lengths[symbol] as number;
    code *= 2 ** (length - before);
    insert(root, code, length, symbol);
    code += 1;
    before = length;
  }
  return root;
}

function insert(root: Node, code: number, length: number, symbol: number): void {
  let node = root;
  for (let bit = length - 1; bit >= 0; bit -= 1) {
    const side = ((code >> bit) & 1) as 0 | 1;
    node.children[side] ??= createNode();
    node = node.children[side] as Node;
  }
  node.symbol = symbol;
}

/** Inner nodes alone are states. */
function number(node: Node, states: Node[]): void {
  if (node.symbol >= 0) return;
  node.state = states.length;
  states.push(node);
  for (const child of node.children) if (child) number(child, states);
}

function createNode(): Node {
  return { children: [null, null], symbol: -1, state: 0 };
}
