// Certificates by openssl, for tests of TLS.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from './program.ts';

/** Contents and files of a certificate and its key. */
export type Pair = { cert: string; key: string; certFile: string; keyFile: string };

export type Certificates = {
  folder: string;
  /**
   * @param names its subject alternative names, such as `DNS:localhost`
   * @param issuer an authority among these; without it the certificate is an authority of its own
   */
  make(name: string, names: string, issuer?: Pair | null, days?: number): Pair;
  /** The same, with a certificate that has expired. */
  expire(pair: Pair, issuer: Pair): Pair;
  remove(): void;
};

export async function openCertificates(): Promise<Certificates> {
  const { path, libraryPath } = await findProgram('openssl', 'usr/bin/openssl');
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-tls-'));
  const env = { PATH: '/usr/bin', ...(libraryPath && { LD_LIBRARY_PATH: libraryPath }) } as NodeJS.ProcessEnv;
  return {
    folder,
    make(name, names, issuer, days = 2) {
      const [certFile, keyFile] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
      const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
      args.push('-days', String(days), '-subj', `/CN=${name}`, '-addext', `subjectAltName=${names}`);
      if (issuer) args.push('-CA', issuer.certFile, '-CAkey', issuer.keyFile, '-addext', 'basicConstraints=CA:FALSE');
      execFileSync(path, [...args, '-keyout', keyFile, '-out', certFile], { stdio: 'pipe', env });
      return { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8'), certFile, keyFile };
    },
    expire({ certFile, key, keyFile }, issuer) {
      const late = `${certFile}.late`;
      const request = ['x509', '-x509toreq', '-copy_extensions', 'copyall', '-in', certFile, '-signkey', keyFile];
      const input = execFileSync(path, request, { stdio: 'pipe', env });
      const sign = ['x509', '-req', '-copy_extensions', 'copyall', '-CA', issuer.certFile, '-CAkey', issuer.keyFile];
      execFileSync(path, [...sign, '-CAcreateserial', '-days', '-1', '-out', late], { input, stdio: 'pipe', env });
      return { cert: readFileSync(late, 'utf8'), key, certFile: late, keyFile };
    },
    remove: () => rmSync(folder, { recursive: true }),
  };
}
