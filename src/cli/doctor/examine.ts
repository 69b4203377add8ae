// `doctor`: checks everything that the service needs, and names the remedy of each fault. It must not change anything.
import { type Config, ConfigError, type Environment, readConfig } from '../../config/config.ts';
import type { Output } from '../output.ts';
import { examineCertificate } from './examine-certificate.ts';
import { examinePostgres } from './examine-postgres.ts';
import { examineRedis } from './examine-redis.ts';
import { examineSmtp } from './examine-smtp.ts';
import { type Finding, ok } from './finding.ts';

export async function examine(environment: Environment, output: Output): Promise<boolean> {
  const findings: Finding[] = [];
  const config = readOrReport(environment, findings);
  if (config) {
    findings.push(...(await examinePostgres(config)), ...(await examineRedis(config)), await examineSmtp(config));
    if (config.http.tls) findings.push(examineCertificate(config.http.tls.certFile));
  }
  output.rows(findings, '');
  return findings.every(({ state }) => state !== 'failed');
}

function readOrReport(environment: Environment, findings: Finding[]): Config | null {
  try {
    const config = readConfig(environment);
    findings.push(ok('configuration', `NODE_ENV=${config.process.environment}`));
    return config;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const remedy = 'see docs/reference/configuration.md';
    findings.push(
      ...error.problems.map((result): Finding => ({ check: 'configuration', state: 'failed', result, remedy })),
    );
    return null;
  }
}
