/**
 * The networks that a client's address lies in, from the narrowest to the widest. Limits and slots count each of them: whoever
 * has one address of a network can easily have the others of it.
 * IPv4: the address and its /24. IPv6: the /64, the /56 and the /48, which providers give to one customer.
 * @param address as the socket reports it
 * @returns canonical texts, such as `192.0.2.7`, `192.0.2.0/24`, `2001:db8:1:2::/64`
 */
export function networksOf(address: string): [narrowest: string, ...wider: string[]] {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  const ipv4 = mapped?.[1] ?? address;
  if (/^\d+\.\d+\.\d+\.\d+$/.test(ipv4)) return [ipv4, ipv4.replace(/\d+$/, '0/24')];
  if (!address.includes(':')) return [address];
  const [head = '', tail] = address.replace(/%.*$/, '').split('::');
  const before = groupsOf(head);
  const after = groupsOf(tail ?? '');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  const groups = [...before, ...Array<number>(zeros).fill(0), ...after];
  const site = groups.slice(0, 3).map(hex).join(':');
  const subnet = groups[3] ?? 0;
  return [`${site}:${hex(subnet)}::/64`, `${site}:${hex(subnet & 0xff00)}::/56`, `${site}::/48`];
}

/** The narrowest of them: what an account is known to sign in from. */
export function networkOf(address: string): string {
  return networksOf(address)[0];
}

/** The widest of them. */
export function widestNetworkOf(address: string): string {
  return networksOf(address).at(-1) as string;
}

/** An embedded IPv4 part counts as two groups; it lies beyond the first 64 bits, so its value does not matter. */
function groupsOf(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => (group.includes('.') ? [0, 0] : [Number.parseInt(group, 16)]));
}

function hex(group: number): string {
  return group.toString(16);
}
