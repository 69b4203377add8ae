// Behind proxies, the socket shows only the address of the last proxy. `x-forwarded-for` is believed as far as trusted
// proxies have written it.
import { type BlockList, isIP } from 'node:net';

/** @param forwardedFor value of `x-forwarded-for`: the client, then each proxy except the last */
export type ClientAddress = (peer: string, forwardedFor: string) => string;

export function createClientAddress(trusted: BlockList): ClientAddress {
  const isTrusted = (address: string) => isIn(trusted, address);

  return (peer, forwardedFor) => {
    let address = plainAddress(peer) ?? peer;
    if (forwardedFor === '' || isIP(address) === 0 || !isTrusted(address)) return address;
    // From the right: an untrusted client can have written any entry further left.
    for (const entry of forwardedFor.split(',').reverse()) {
      const next = isTrusted(address) ? plainAddress(entry.trim()) : null;
      if (next === null) return address;
      address = next;
    }
    return address;
  };
}

export function isIn(networks: BlockList, address: string): boolean {
  const plain = plainAddress(address) ?? '';
  return isIP(plain) !== 0 && networks.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4');
}

/** Removes port, brackets and the IPv6 form of an IPv4 address. Null for any other text. */
export function plainAddress(text: string): string | null {
  const [, bracketed, dotted] = /^(?:\[([^\]]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+)$/.exec(text) ?? [];
  const bare = bracketed ?? dotted ?? text;
  // A zone has a meaning on one machine only, and its length is unlimited.
  if (isIP(bare) === 0 || bare.includes('%')) return null;
  return isIP(bare) === 6 ? (embeddedIPv4(bare) ?? bare) : bare;
}

function embeddedIPv4(address: string): string | null {
  const canonical = URL.parse(`http://[${address}]`)?.hostname ?? '';
  const [, high, low] = /^\[::ffff:([\da-f]+):([\da-f]+)\]$/.exec(canonical) ?? [];
  if (!high || !low) return null;
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16BE(Number.parseInt(high, 16), 0);
  bytes.writeUInt16BE(Number.parseInt(low, 16), 2);
  return bytes.join('.');
}
