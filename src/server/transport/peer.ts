// What is known of the other end of a connection: told by the socket, by a proxy that stands before it, or by its certificate.
import type { Socket } from 'node:net';
import type { CertifiedService } from './client-certificate.ts';

export type Peer = {
  /** Empty when a proxy does not know it. */
  address: string;
  /** Null when it has shown no certificate of a service. */
  service: CertifiedService | null;
};

const PEER = Symbol('peer');

export function notePeer(socket: Socket, peer: Peer): void {
  (socket as Socket & { [PEER]?: Peer })[PEER] = peer;
}

/** @param socket also in the guise that node:http2 gives to it */
export function peerOf(socket: Socket | undefined): Peer {
  const noted = (socket as { [PEER]?: Peer } | undefined)?.[PEER];
  return noted ?? { address: socket?.remoteAddress ?? '', service: null };
}

/** The service at the other end, while its certificate is valid: a connection may outlive that. */
export function serviceAt({ service }: Peer): string | null {
  return service && service.until.getTime() > Date.now() ? service.name : null;
}
