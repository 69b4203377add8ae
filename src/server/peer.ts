// What is known of the other end of a connection: told by the socket, by a proxy that stands before it, or by its certificate.
import type { Socket } from 'node:net';

export type Peer = {
  address: string;
  /** The service that its certificate names, or null. */
  service: string | null;
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
