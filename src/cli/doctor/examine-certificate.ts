import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Finding, ok } from './finding.ts';

const CERTIFICATE_WARNING_DAYS = 14;
const DAY_MS = 86_400_000;

export function examineCertificate(file: string): Finding {
  const check = 'certificate';
  const ends = new Date(new X509Certificate(readFileSync(file)).validTo);
  const days = Math.floor((ends.getTime() - Date.now()) / DAY_MS);
  const result = `valid until ${ends.toISOString()}`;
  const remedy = 'renew the certificate; the service reads the new files by itself';
  if (days < 0) return { check, state: 'failed', result: `expired at ${ends.toISOString()}`, remedy };
  return days < CERTIFICATE_WARNING_DAYS ? { check, state: 'warning', result, remedy } : ok(check, result);
}
