/** The parts of the keys of limits, for the reference page. Keys contain no e-mail address and no secret. */
export const KEY_PARTS: Record<string, string> = {
  account: 'The keyed hash of the canonical e-mail address.',
  mailbox:
    'The keyed hash of the mailbox. All addresses of a mailbox that have a +tag share one key, because a+1@example.com and a+2@example.com reach the same mailbox. The address without a tag has its own key, so that tags chosen by strangers use up none of its attempts. Other conventions of mail providers (dots, other separators) are not followed.',
  network:
    "A network of the client's address. Each network that contains the address has its own bucket: the IPv4 address and the /64 of IPv6 with the points of the limit, the /56 with 5/4 of them, the /24 and the /48 with 3/2 (rounded up). Keys with a second part use the narrowest network only.",
  'widest network': "The /24 (IPv4) or /48 (IPv6) of the client's address.",
  domain: 'The domain of the e-mail address.',
  'user id': 'The id of the user.',
  'password epoch':
    'The number of password changes of the user. After a new password a new count begins, so that an attacker who knew the former one cannot keep the owner out.',
  'session id': 'The id of the session.',
  'reset id': 'The id in the reset token.',
  'verification id': 'The id in the verification token.',
  'confirmation id': 'The id in the network token.',
  'change id': 'The id in the undo token.',
  caller: 'The id of the user, or the name of the service.',
};
