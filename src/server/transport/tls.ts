// TLS on the port of everything else: the certificate from files, which may change while the server runs.
import { constants, createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { createSecureContext, createServer, type TLSSocket } from 'node:tls';
import { type CertifiedService, certifiedService } from './client-certificate.ts';

export type TlsOptions = {
  certFile: string;
  keyFile: string;
  /** Whose certificates clients may show; null for those of nobody. */
  clients: {
    caFile: string;
    isRequired: boolean;
    /** SPIFFE IDs and DNS names of the services among them. */
    services: string[];
  } | null;
};

export type TlsDoor = {
  /** Shakes hands on a connection that was just accepted. */
  accept(socket: Socket): void;
  close(): void;
};

const HANDSHAKE_TIMEOUT_MS = 10_000;
const LOOK_EVERY_MS = 2_000;
/** Authenticated encryption with forward secrecy alone (RFC 9325 section 4.2); Node's default also has CBC and static RSA. */
const CIPHERS = [
  ...['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_GCM_SHA256'],
  ...['ECDHE+AESGCM', 'ECDHE+CHACHA20'],
].join(':');

/**
 * @param onSecure gets each connection once the handshake is done, with the service that its certificate names; `alpnProtocol` says
 *   what it speaks
 * @param onProblem hears why files that changed are not used; the certificate of before is, as long as that lasts
 * @throws when there is no usable certificate at the start
 */
export function openTls(
  options: TlsOptions,
  onSecure: (socket: TLSSocket, service: CertifiedService | null) => void,
  onProblem: (error: Error) => void,
): TlsDoor {
  const { clients } = options;
  let used = readTlsFiles(options);
  const always = {
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    // A session that is resumed would bring back a certificate that is not looked at again.
    ...(clients && { secureOptions: constants.SSL_OP_NO_TICKET }),
  } as const;
  let problem = '';
  const server = createServer({
    ...used,
    ...always,
    ...(clients && { requestCert: true, rejectUnauthorized: clients.isRequired }),
    ALPNProtocols: ['h2', 'http/1.1'],
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  });
  server.on('secureConnection', (socket) => {
    if (!clients || !socket.getPeerX509Certificate()) return onSecure(socket, null);
    if (socket.authorized) return onSecure(socket, certifiedService(socket, clients.services));
    // To go on as nobody would hide that its certificate has expired.
    socket.destroy();
  });
  server.on('tlsClientError', (_, socket) => socket.destroy());

  // By their content: what mounts secrets swaps links, of which the system tells nothing reliable.
  const timer = setInterval(() => {
    try {
      const found = readTlsFiles(options);
      if (found.cert !== used.cert || found.key !== used.key || found.ca !== used.ca)
        server.setSecureContext({ ...found, ...always });
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

type Contents = { cert: string; key: string; ca?: string };

/** @throws unless all can be read, and the key is that of the certificate */
export function readTlsFiles({ certFile, keyFile, clients }: TlsOptions): Contents {
  const contents: Contents = { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
  if (clients) contents.ca = readFileSync(clients.caFile, 'utf8');
  createSecureContext(contents);
  // Which takes an empty file for none at all.
  if (!new X509Certificate(contents.cert).checkPrivateKey(createPrivateKey(contents.key)))
    throw new Error('the key is not that of the certificate');
  // Which passes over authorities that are none.
  if (contents.ca !== undefined) new X509Certificate(contents.ca);
  return contents;
}
