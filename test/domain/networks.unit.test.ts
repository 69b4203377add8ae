import { expect, test } from 'vitest';
import { networkOf, networksOf, widestNetworkOf } from '../../src/domain/networks.ts';

test.each([
  ['192.0.2.7', ['192.0.2.7', '192.0.2.0/24']],
  ['::ffff:192.0.2.7', ['192.0.2.7', '192.0.2.0/24']],
  ['2001:db8:1:2:3:4:5:6', ['2001:db8:1:2::/64', '2001:db8:1:0::/56', '2001:db8:1::/48']],
  ['2001:0db8:0001:ab02:ffff::1', ['2001:db8:1:ab02::/64', '2001:db8:1:ab00::/56', '2001:db8:1::/48']],
  ['2001:db8::1', ['2001:db8:0:0::/64', '2001:db8:0:0::/56', '2001:db8:0::/48']],
  ['::1', ['0:0:0:0::/64', '0:0:0:0::/56', '0:0:0::/48']],
  ['fe80::1%eth0', ['fe80:0:0:0::/64', 'fe80:0:0:0::/56', 'fe80:0:0::/48']],
  ['::ffff:c000:207', ['192.0.2.7', '192.0.2.0/24']],
  ['64:ff9b::192.0.2.7', ['192.0.2.7', '192.0.2.0/24']],
  ['64:ff9b::c000:207', ['192.0.2.7', '192.0.2.0/24']],
  ['64:ff9b:1::c000:207', ['64:ff9b:1:0::/64', '64:ff9b:1:0::/56', '64:ff9b:1::/48']],
  ['2001:db8:1:2::', ['2001:db8:1:2::/64', '2001:db8:1:0::/56', '2001:db8:1::/48']],
  ['203.0.113.123', ['203.0.113.123', '203.0.113.0/24']],
  ['x192.0.2.7', ['x192.0.2.7']],
  ['192.0.2.7x', ['192.0.2.7x']],
  ['', ['']],
])('%s is in the networks %j', (address, networks) => {
  expect(networksOf(address)).toEqual(networks);
  expect(networkOf(address)).toBe(networks[0]);
  expect(widestNetworkOf(address)).toBe(networks.at(-1));
});

test('an IPv4 address has octets of up to three digits, and a zone does not count', () => {
  expect(networksOf('192.168.100.200')).toEqual(['192.168.100.200', '192.168.100.0/24']);
  expect(networksOf('2001:db8:1:2::1%eth0')).toEqual(networksOf('2001:db8:1:2::1'));
  expect(networksOf('::ffff:192.0.2.7%eth0')).toEqual(['192.0.2.7', '192.0.2.0/24']);
});
