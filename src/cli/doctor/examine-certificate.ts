import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Finding, ok } from './finding.ts';

const CERTIFICATE_WARNING_DAYS = 14;
const DAY_MS = 86_400_000;

export function examineCertificate(file: string): Finding {
  const check = 'certificate';
  const ends = new Date(new X509Certificate(readFileSync(file)).validTo);
  const days = Math.floor((ends.getTime() - Date.now()) / DAY_MS);
  const what = `is good until ${ends.toISOString()}`;
  const mend = 'renew it; the service takes up the new files by itself';
  if (days < 0) return { check, state: 'failed', what: `ended at ${ends.toISOString()}`, mend };
  return days < CERTIFICATE_WARNING_DAYS ? { check, state: 'warning', what, mend } : ok(check, what);
}
