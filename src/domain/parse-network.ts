import { isIP } from 'node:net';
import { invalid } from './parse-fields.ts';

const WIDTHS: Record<number, number> = { 4: 32, 6: 128 };

/**
 * An address, or a network in CIDR notation (RFC 4632 and RFC 4291). A zone has a meaning on one machine only.
 * @returns the form that Postgres reads, which rejects leading zeros of a prefix length
 * @throws InvalidValue
 */
export function parseNetwork(text: string): string {
  const [, address = '', prefix] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const width = WIDTHS[isIP(address)];
  const bits = prefix === undefined ? width : Number(prefix);
  if (width === undefined || bits === undefined || bits > width) {
    return invalid('must be an address or a network, such as 203.0.113.7 or 203.0.113.0/24');
  }
  return bits === width ? address : `${address}/${bits}`;
}
