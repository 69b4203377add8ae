import type { Socket } from 'node:net';
import type { ShownCertificate } from './client-certificate.ts';

export type Peer = ShownCertificate & {
  /** Empty when a proxy does not have it. */
  address: string;
};

const PEER = Symbol('peer');

export function setPeer(socket: Socket, peer: Peer): void {
  (socket as Socket & { [PEER]?: Peer })[PEER] = peer;
}

export function peerOf(socket: Socket | undefined): Peer {
  const peer = (socket as { [PEER]?: Peer } | undefined)?.[PEER];
  return peer ?? { address: socket?.remoteAddress ?? '', service: null };
}

/** Null once the certificate has expired: a connection can outlive it. */
export function serviceAt({ service }: Peer): string | null {
  return service && service.until.getTime() > Date.now() ? service.name : null;
}
