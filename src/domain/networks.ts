/**
 * The networks of an address, from the narrowest to the widest. Limits and slots count each of them, because a client
 * with one address of a network can easily get others of it. IPv6: the /64, the /56 and the /48, which providers give
 * to one customer. An IPv4 address in IPv6 (mapped, or translated by NAT64, RFC 6052) counts as what it is.
 * @param address as the socket reports it
 * @returns canonical texts, such as `192.0.2.7`, `192.0.2.0/24`, `2001:db8:1:2::/64`
 */
export function networksOf(address: string): [narrowest: string, ...wider: string[]] {
  if (!address.includes(':')) return isDotted(address) ? ofIPv4(address) : [address];
  const groups = groupsOf(address.replace(/%.*$/, ''));
  const [high = 0, low = 0] = groups.slice(6);
  if (EMBEDDING.includes(groups.slice(0, 6).map(hex).join(':'))) {
    return ofIPv4([high >> 8, high & 0xff, low >> 8, low & 0xff].join('.'));
  }
  const site = groups.slice(0, 3).map(hex).join(':');
  const subnet = groups[3] ?? 0;
  return [`${site}:${hex(subnet)}::/64`, `${site}:${hex(subnet & 0xff00)}::/56`, `${site}::/48`];
}

export function networkOf(address: string): string {
  return networksOf(address)[0];
}

export function widestNetworkOf(address: string): string {
  return networksOf(address).at(-1) as string;
}

/** IPv4-mapped addresses, and the well-known prefix of NAT64. */
const EMBEDDING = ['0:0:0:0:0:ffff', '64:ff9b:0:0:0:0'];

function ofIPv4(address: string): [string, string] {
  return [address, address.replace(/\d+$/, '0/24')];
}

function isDotted(text: string): boolean {
  return /^\d+\.\d+\.\d+\.\d+$/.test(text);
}

function groupsOf(address: string): number[] {
  const [head = [], tail = []] = address.split('::').map(partsOf);
  const zeros = Math.max(0, 8 - head.length - tail.length);
  return [...head, ...Array<number>(zeros).fill(0), ...tail];
}

function partsOf(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!isDotted(group)) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}

function hex(group: number): string {
  return group.toString(16);
}
