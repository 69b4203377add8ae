// TLS on the one port. The certificate comes from files, which may change while the server runs.
import { constants, createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { createSecureContext, createServer, type TLSSocket } from 'node:tls';
import { type ShownCertificate, shownCertificate } from './client-certificate.ts';

export type TlsOptions = {
  certFile: string;
  keyFile: string;
  clients: {
    caFile: string;
    isRequired: boolean;
    /** SPIFFE IDs and DNS names of services. */
    services: string[];
  } | null;
};

export type TlsServer = {
  handshake(socket: Socket): void;
  /** When the certificate in use expires. */
  expiresAt(): Date;
  close(): void;
};

const HANDSHAKE_TIMEOUT_MS = 10_000;
const RELOAD_EVERY_MS = 2_000;
/**
 * Only authenticated encryption with forward secrecy (RFC 9325 section 4.2). Node's default also has CBC and static
 * RSA.
 */
const CIPHERS = [
  ...['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_GCM_SHA256'],
  ...['ECDHE+AESGCM', 'ECDHE+CHACHA20'],
].join(':');

/**
 * @param onSecure receives each connection after its handshake, with the certificate of the client
 * @param onProblem receives the reason why changed files cannot be used; the previous certificate stays in use
 * @throws without a usable certificate at the start
 */
export function createTlsServer(
  options: TlsOptions,
  onSecure: (socket: TLSSocket, certificate: ShownCertificate) => void,
  onProblem: (error: Error) => void,
): TlsServer {
  const { clients } = options;
  let used = readTlsFiles(options);
  const always = {
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    // A resumed session would bring back a certificate that is not verified again.
    ...(clients && { secureOptions: constants.SSL_OP_NO_TICKET }),
  } as const;
  let problem = '';
  let expiresAt = expiryOf(used);
  const server = createServer({
    ...used,
    ...always,
    ...(clients && { requestCert: true, rejectUnauthorized: clients.isRequired }),
    ALPNProtocols: ['h2', 'http/1.1'],
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  });
  server.on('secureConnection', (socket) => {
    if (!clients || !socket.getPeerX509Certificate()) return onSecure(socket, { service: null });
    if (socket.authorized) return onSecure(socket, shownCertificate(socket, clients.services));
    // Treating the client as anonymous would hide that its certificate has expired.
    socket.destroy();
  });
  server.on('tlsClientError', (_, socket) => socket.destroy());

  // Compared by content: Kubernetes swaps links when it mounts secrets, and file events for these are unreliable.
  const timer = setInterval(() => {
    try {
      const found = readTlsFiles(options);
      if (found.cert !== used.cert || found.key !== used.key || found.ca !== used.ca)
        server.setSecureContext({ ...found, ...always });
      used = found;
      expiresAt = expiryOf(used);
      problem = '';
    } catch (error) {
      const { message } = error as Error;
      if (message !== problem) onProblem(error as Error);
      problem = message;
    }
  }, RELOAD_EVERY_MS).unref();

  return {
    handshake(socket) {
      // A client that ends its side during the handshake has disconnected.
      socket.allowHalfOpen = false;
      server.emit('connection', socket);
    },
    expiresAt: () => expiresAt,
    close: () => clearInterval(timer),
  };
}

function expiryOf({ cert }: Contents): Date {
  return new X509Certificate(cert).validToDate;
}

type Contents = { cert: string; key: string; ca?: string };

/** @throws when a file cannot be read, or the key does not belong to the certificate */
export function readTlsFiles({ certFile, keyFile, clients }: TlsOptions): Contents {
  const contents: Contents = { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
  if (clients) contents.ca = readFileSync(clients.caFile, 'utf8');
  createSecureContext(contents);
  // createSecureContext accepts an empty file.
  if (!new X509Certificate(contents.cert).checkPrivateKey(createPrivateKey(contents.key)))
    throw new Error('the private key does not belong to the certificate');
  // createSecureContext ignores certificate authorities that it cannot parse.
  if (contents.ca !== undefined) new X509Certificate(contents.ca);
  return contents;
}
