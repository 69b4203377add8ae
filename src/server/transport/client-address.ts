// Where a call comes from. Behind proxies the socket tells the last of them only; what they tell of the others is believed as far
// as it was told by one that is trusted.
import { type BlockList, isIP } from 'node:net';

/** @param forwardedFor of `x-forwarded-for`: the client, then each proxy but the last */
export type ClientAddress = (peer: string, forwardedFor: string) => string;

export function createClientAddress(trusted: BlockList): ClientAddress {
  const isTrusted = (address: string) => isIn(trusted, address);

  return (peer, forwardedFor) => {
    let address = plainAddress(peer) ?? peer;
    if (forwardedFor === '' || isIP(address) === 0 || !isTrusted(address)) return address;
    // From the right, for everybody may have written what stands further left.
    for (const entry of forwardedFor.split(',').reverse()) {
      const next = isTrusted(address) ? plainAddress(entry.trim()) : null;
      if (next === null) return address;
      address = next;
    }
    return address;
  };
}

/** @param address also in the IPv6 form of an IPv4 address */
export function isIn(networks: BlockList, address: string): boolean {
  const plain = plainAddress(address) ?? '';
  return isIP(plain) !== 0 && networks.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4');
}

/** Without a port, brackets or the IPv6 form of an IPv4 address; null for what is no address. */
export function plainAddress(text: string): string | null {
  const [, bracketed, dotted] = /^(?:\[([^\]]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+)$/.exec(text) ?? [];
  const bare = bracketed ?? dotted ?? text;
  // A zone means something on one machine alone, and may be as long as one likes.
  if (isIP(bare) === 0 || bare.includes('%')) return null;
  return isIP(bare) === 6 ? (embeddedIPv4(bare) ?? bare) : bare;
}

/** Of `::ffff:203.0.113.9` in any spelling; null for any other address. */
function embeddedIPv4(address: string): string | null {
  const canonical = URL.parse(`http://[${address}]`)?.hostname ?? '';
  const [, high, low] = /^\[::ffff:([\da-f]+):([\da-f]+)\]$/.exec(canonical) ?? [];
  if (!high || !low) return null;
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16BE(Number.parseInt(high, 16), 0);
  bytes.writeUInt16BE(Number.parseInt(low, 16), 2);
  return bytes.join('.');
}
