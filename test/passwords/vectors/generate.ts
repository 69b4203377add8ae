// Writes hashes.json: each form of a password hash, made by the real library of the system that writes it. Run it with
// `npm run vectors:hashes`; it needs python3, java and mvn, and fetches the libraries into a temporary folder.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

type Row = [name: string, hash: string, madeBy: string];

const PASSWORD = 'Zwölf Boxkämpfer 42';
// The last bcrypt whose version passlib can read is 4.0.
const PYTHON = ['django==5.2.19', 'passlib==1.7.4', 'argon2-cffi==25.1.0', 'werkzeug==3.1.9', 'bcrypt==4.0.1'];
const NPM = [
  'better-auth@1.7.25',
  'firebase-scrypt@2.2.0',
  'drupal-hash@1.0.4',
  'aspnetcore-identity-password-hasher@1.0.1',
  'aspnet-identity-pw@1.0.2',
];
const SPRING = '7.1.2';
const JARS = [
  `org.springframework.security:spring-security-crypto:${SPRING}`,
  'org.bouncycastle:bcprov-jdk18on:1.84',
  'commons-logging:commons-logging:1.3.5',
];

const here = import.meta.dirname;
const folder = mkdtempSync(join(tmpdir(), 'latchkey-hashes-'));
try {
  const rows = [...python(), ...npm(), ...java()];
  const hashes = rows.map(([name, hash, madeBy]) => ({ name, hash, madeBy }));
  writeFileSync(join(here, 'hashes.json'), `${JSON.stringify({ password: PASSWORD, hashes }, null, 2)}\n`);
} finally {
  rmSync(folder, { recursive: true });
}

function run(command: string, parameters: string[]): string {
  return execFileSync(command, parameters, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

function python(): Row[] {
  run('python3', ['-m', 'venv', 'venv']);
  run('venv/bin/pip', ['--quiet', 'install', ...PYTHON]);
  return JSON.parse(run('venv/bin/python', [join(here, 'systems.py'), PASSWORD]));
}

function npm(): Row[] {
  writeFileSync(join(folder, 'package.json'), '{}');
  run('npm', ['install', '--silent', '--save-exact', '--ignore-scripts', ...NPM]);
  // Node finds packages beside the program.
  copyFileSync(join(here, 'systems.mjs'), join(folder, 'systems.mjs'));
  return JSON.parse(run('node', ['systems.mjs', PASSWORD]));
}

function java(): Row[] {
  for (const jar of JARS) {
    run('mvn', ['--quiet', 'dependency:copy', `-Dartifact=${jar}`, `-DoutputDirectory=${folder}/jars`]);
  }
  const lines = run('java', ['-cp', 'jars/*', join(here, 'Systems.java'), PASSWORD])
    .trim()
    .split('\n');
  return lines.map((line) => {
    const [name = '', hash = ''] = line.split('\t');
    return [name, hash, `spring-security-crypto ${SPRING}`];
  });
}
