import { readTlsFiles, type TlsOptions } from '../server/transport/tls.ts';

type TlsValues = {
  TLS_CERT_FILE?: string | undefined;
  TLS_KEY_FILE?: string | undefined;
  TLS_CLIENT_CA_FILE?: string | undefined;
  TLS_CLIENT_AUTH: 'optional' | 'required';
  TLS_CLIENT_SERVICES: string[];
};

/**
 * Returns null for cleartext. Reads the files only to report errors: the server reads them again, because they can
 * change.
 */
export function readTlsSettings(values: TlsValues, problems: string[]): TlsOptions | null {
  const { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile, TLS_CLIENT_CA_FILE: caFile } = values;
  const services = values.TLS_CLIENT_SERVICES;
  const isRequired = values.TLS_CLIENT_AUTH === 'required';
  if (caFile === undefined) {
    if (services.length > 0) problems.push('TLS_CLIENT_SERVICES requires TLS_CLIENT_CA_FILE');
    if (isRequired) problems.push('TLS_CLIENT_AUTH=required requires TLS_CLIENT_CA_FILE');
  }
  if (certFile === undefined && keyFile === undefined) {
    if (caFile !== undefined) problems.push('TLS_CLIENT_CA_FILE requires TLS_CERT_FILE and TLS_KEY_FILE');
    return null;
  }
  if (certFile === undefined || keyFile === undefined) {
    problems.push('TLS_CERT_FILE and TLS_KEY_FILE must be set together');
    return null;
  }
  const tls = { certFile, keyFile, clients: caFile === undefined ? null : { caFile, isRequired, services } };
  try {
    readTlsFiles(tls);
  } catch (error) {
    const names = caFile === undefined ? '' : ', TLS_CLIENT_CA_FILE';
    problems.push(`TLS_CERT_FILE and TLS_KEY_FILE${names} cannot be used: ${(error as Error).message}`);
  }
  return tls;
}
