// TLS on the port of everything else: the certificate from files, which may change while the server runs.
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { createSecureContext, createServer, type TLSSocket } from 'node:tls';

export type TlsFiles = { certFile: string; keyFile: string };

export type TlsDoor = {
  /** Shakes hands on a connection that was just accepted. */
  accept(socket: Socket): void;
  close(): void;
};

const HANDSHAKE_TIMEOUT_MS = 10_000;
const LOOK_EVERY_MS = 2_000;

/**
 * @param onSecure gets each connection once the handshake is done; `alpnProtocol` says what it speaks
 * @param onProblem hears why files that changed are not used; the certificate of before is, as long as that lasts
 * @throws when there is no usable certificate at the start
 */
export function openTls(
  files: TlsFiles,
  onSecure: (socket: TLSSocket) => void,
  onProblem: (error: Error) => void,
): TlsDoor {
  let used = readPair(files);
  let problem = '';
  const server = createServer({
    ...used,
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['h2', 'http/1.1'],
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  });
  server.on('secureConnection', onSecure);
  server.on('tlsClientError', (_, socket) => socket.destroy());

  // By their content: what mounts secrets swaps links, of which the system tells nothing reliable.
  const timer = setInterval(() => {
    try {
      const found = readPair(files);
      if (found.cert !== used.cert || found.key !== used.key)
        server.setSecureContext({ ...found, minVersion: 'TLSv1.2' });
      used = found;
      problem = '';
    } catch (error) {
      const { message } = error as Error;
      if (message !== problem) onProblem(error as Error);
      problem = message;
    }
  }, LOOK_EVERY_MS).unref();

  return {
    accept(socket) {
      // Whoever goes away before the end of the handshake is gone.
      socket.allowHalfOpen = false;
      server.emit('connection', socket);
    },
    close: () => clearInterval(timer),
  };
}

/** @throws unless both can be read, and the key is that of the certificate */
function readPair({ certFile, keyFile }: TlsFiles): { cert: string; key: string } {
  const pair = { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
  createSecureContext(pair);
  return pair;
}
