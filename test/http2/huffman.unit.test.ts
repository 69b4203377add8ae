import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeHuffman } from '../../src/http2/hpack/huffman.ts';
import { type Code, EOS, encodeHuffman, HUFFMAN_CODES } from './huffman-code.ts';

const bytes = Array.from({ length: 256 }, (_, byte) => byte);
const textOf = (symbols: readonly number[]) => Buffer.from(symbols).toString('latin1');
const decode = (code: Buffer) => decodeHuffman(code, 0, code.length);
const lengthOf = (symbol: number) => (HUFFMAN_CODES[symbol] as Code).length;

describe('the Huffman code (RFC 7541 section 5.2 and Appendix B)', () => {
  test('every symbol, alone and between others', () => {
    for (const symbol of bytes) {
      expect(decode(encodeHuffman([symbol]))).toBe(textOf([symbol]));
      // The symbol begins at each bit of a byte: `0` has five bits, and `&` has eight.
      for (let before = 0; before < 8; before += 1) {
        const symbols = [...Array(before).fill(0x30), symbol, 0x26];
        expect(decode(encodeHuffman(symbols))).toBe(textOf(symbols));
      }
    }
  });

  test('every pair of symbols', () => {
    for (const first of bytes) {
      for (const second of bytes) {
        if (decode(encodeHuffman([first, second])) !== textOf([first, second])) expect([first, second]).toBe('decoded');
      }
    }
  });

  test('padding of up to seven ones is valid, and longer padding is not', () => {
    const [five, eight] = [0x30, 0x26];
    expect([lengthOf(five), lengthOf(eight)]).toEqual([5, 8]);
    for (let fives = 0; fives < 8; fives += 1) {
      const symbols = Array(fives).fill(five);
      const code = encodeHuffman(symbols);
      expect(decode(code)).toBe(textOf(symbols));
      // Eight ones more, which are still no whole code.
      expect(decode(Buffer.concat([code, Buffer.from([0xff])]))).toBeNull();
    }
    expect(decode(encodeHuffman([eight]))).toBe('&');
    expect(decode(Buffer.from([0xff]))).toBeNull();
  });

  test('padding with any bit that is zero is invalid', () => {
    for (let length = 1; length <= 7; length += 1) {
      // Symbols of five bits leave a rest of this length.
      const fives = Array.from({ length: 8 }, (_, n) => n).find((n) => (8 - ((5 * n) % 8)) % 8 === length) ?? 0;
      const symbols = Array(fives).fill(0x30);
      for (let bits = 0; bits < 2 ** length - 1; bits += 1) {
        const padding = bits.toString(2).padStart(length, '0');
        const decoded = decode(encodeHuffman(symbols, padding));
        // From five bits on, the rest can be a code of its own.
        const others = bytes.filter((symbol) => {
          const { bits: code, length: size } = HUFFMAN_CODES[symbol] as Code;
          const text = code.toString(2).padStart(size, '0');
          return padding.startsWith(text) && /^1*$/.test(padding.slice(size));
        });
        expect([padding, decoded]).toEqual([
          padding,
          others.length === 0 ? null : textOf([...symbols, others[0] as number]),
        ]);
      }
    }
  });

  test('EOS is invalid in any place', () => {
    expect(decode(encodeHuffman([EOS]))).toBeNull();
    for (let before = 0; before < 8; before += 1) {
      const symbols = Array(before).fill(0x30);
      expect(decode(encodeHuffman([...symbols, EOS]))).toBeNull();
      expect(decode(encodeHuffman([...symbols, EOS, 0x30]))).toBeNull();
    }
  });

  test('a code that is cut off is invalid', () => {
    for (const symbol of bytes.filter((each) => lengthOf(each) > 8)) {
      const code = encodeHuffman([symbol]);
      expect(decode(code.subarray(0, code.length - 1))).toBeNull();
    }
  });

  test('random texts, from any place of a buffer', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(255), { maxLength: 200 }), fc.nat(9), (symbols, before) => {
        const code = encodeHuffman(symbols);
        const buffer = Buffer.concat([Buffer.alloc(before, 0x30), code, Buffer.from('rest')]);
        expect(decodeHuffman(buffer, before, before + code.length)).toBe(textOf(symbols));
      }),
      { numRuns: 2_000 },
    );
  });

  test('random bytes: a text that encodes to the same bytes, or nothing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (input) => {
        const code = Buffer.from(input);
        const text = decode(code);
        if (text !== null) expect(encodeHuffman([...Buffer.from(text, 'latin1')])).toEqual(code);
      }),
      { numRuns: 20_000 },
    );
  });

  test('a text longer than any before', () => {
    const long = Array.from({ length: 50_000 }, (_, n) => n % 256);
    expect(decode(encodeHuffman(long))).toBe(textOf(long));
    expect(decode(encodeHuffman([0x30]))).toBe('0');
  });
});
