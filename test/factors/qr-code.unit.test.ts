import decodeQR from 'qr/decode.js';
import { expect, test } from 'vitest';
import { qrCodeSvg } from '../../src/factors/qr-code.ts';
import { newTotpSecret, totpUri } from '../../src/factors/totp.ts';

const MODULE = 4;

/** Draws the image as a browser would, four pixels a module. */
function draw(svg: string): { size: number; pixels: Uint8Array } {
  const size = MODULE * Number(/viewBox="0 0 (\d+) \1"/.exec(svg)?.[1]);
  const pixels = new Uint8Array(size * size).fill(255);
  const dark = /<path fill="#000" d="([^"]+)"\/>/.exec(svg)?.[1] ?? '';
  for (const [, x, y, length] of dark.matchAll(/M(\d+) (\d+)h(\d+)v1h-\3z/g)) {
    const [left, width] = [MODULE * Number(x), MODULE * Number(length)];
    for (let row = MODULE * Number(y); row < MODULE * (Number(y) + 1); row += 1)
      pixels.fill(0, row * size + left, row * size + left + width);
  }
  return { size, pixels };
}

function read(svg: string): string {
  const { size, pixels } = draw(svg);
  const rgb = new Uint8Array(3 * pixels.length).map((_, at) => pixels[Math.floor(at / 3)] as number);
  return decodeQR({ width: size, height: size, data: rgb });
}

test.each([
  ['a short address', 'ada@example.com'],
  ['the longest address, in characters that are escaped', `${'+'.repeat(64)}@${'ö'.repeat(189)}`],
])('a decoder reads the URI with %s', (_, account) => {
  const uri = totpUri({ secret: newTotpSecret(), issuer: 'Latchkey & Söhne', account });
  expect(read(qrCodeSvg(uri))).toBe(uri);
});

test('the image is small, has a white quiet zone of four modules and runs nothing', () => {
  const svg = qrCodeSvg(totpUri({ secret: newTotpSecret(), issuer: 'Latchkey', account: 'ada@example.com' }));
  expect(svg.length).toBeLessThan(20_000);
  expect(svg).toMatch(
    /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" [^<>]+>(<path fill="#[0f]{3}" d="[MhvzV\d -]+"\/>){2}<\/svg>$/,
  );
  const { size, pixels } = draw(svg);
  const border = 4 * MODULE;
  const rows = Array.from({ length: size }, (_, row) => pixels.subarray(row * size, (row + 1) * size));
  const isWhite = (row: Uint8Array) => row.every((pixel) => pixel === 255);
  expect([...rows.slice(0, border), ...rows.slice(-border)].every(isWhite)).toBe(true);
  expect(rows.every((row) => isWhite(row.subarray(0, border)) && isWhite(row.subarray(-border)))).toBe(true);
  expect(isWhite(rows[border] as Uint8Array)).toBe(false);
});
