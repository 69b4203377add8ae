// The libraries of the matrix: the program of examples/verify that uses each, and how to build it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Project } from '../support/toolchain.ts';

export type Language = Project & {
  /** The file with the versions of the libraries. */
  manifest: string;
  command: (program: string) => string[];
};

export type Library = {
  name: string;
  language: Language;
  /** The argument that selects the library. */
  program: string;
  /** The page shows this file. */
  file: string;
  /** Finds the version in the manifest. */
  version: RegExp;
};

const EXAMPLES = 'examples/verify';

const NODE: Language = {
  name: 'Node',
  folder: `${EXAMPLES}/node`,
  probe: ['npm', '--version'],
  build: [['npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund']],
  manifest: 'package.json',
  command: (program) => ['node', 'main.mjs', program],
};
const PYTHON: Language = {
  name: 'Python',
  folder: `${EXAMPLES}/python`,
  probe: ['python3', '-c', 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))'],
  build: [
    ['python3', '-m', 'venv', '.venv'],
    ['.venv/bin/pip', 'install', '--quiet', '--requirement', 'requirements.txt'],
  ],
  manifest: 'requirements.txt',
  command: (program) => ['.venv/bin/python', 'main.py', program],
};
const GO: Language = {
  name: 'Go',
  folder: `${EXAMPLES}/go`,
  probe: ['go', 'version'],
  build: [['go', 'build', '-o', 'bin/verify', '.']],
  manifest: 'go.mod',
  command: (program) => ['bin/verify', program],
};
const JAVA: Language = {
  name: 'Java',
  folder: `${EXAMPLES}/java`,
  probe: ['mvn', '--version'],
  build: [['mvn', '--batch-mode', '--quiet', 'process-classes']],
  manifest: 'pom.xml',
  command: (program) => ['java', '-cp', 'target/classes:target/lib/*', 'dev.latchkey.examples.verify.Main', program],
};
const RUST: Language = {
  name: 'Rust',
  folder: `${EXAMPLES}/rust`,
  probe: ['cargo', '--version'],
  build: [['cargo', 'build', '--quiet', '--locked']],
  manifest: 'Cargo.toml',
  command: () => ['target/debug/verify-latchkey-tokens'],
};

export const LANGUAGES = [NODE, PYTHON, GO, JAVA, RUST];

const npm = (name: string) => new RegExp(`"${name}": "([^"]+)"`);
const pip = (name: string) => new RegExp(`^${name}(?:\\[\\w+\\])?==([\\w.]+)`, 'im');
const goModule = (name: string) => new RegExp(`${name} v([\\w.]+)`);
const maven = (name: string) => new RegExp(`<artifactId>${name}</artifactId>\\s*<version>([^<]+)`);
const JAVA_FILES = 'src/main/java/dev/latchkey/examples/verify';

export const LIBRARIES: Library[] = [
  { name: 'jose', language: NODE, program: 'jose', file: 'jose.mjs', version: npm('jose') },
  {
    name: 'jsonwebtoken',
    language: NODE,
    program: 'jsonwebtoken',
    file: 'jsonwebtoken.mjs',
    version: npm('jsonwebtoken'),
  },
  { name: 'fast-jwt', language: NODE, program: 'fast-jwt', file: 'fast-jwt.mjs', version: npm('fast-jwt') },
  { name: 'PyJWT', language: PYTHON, program: 'pyjwt', file: 'pyjwt_verify.py', version: pip('PyJWT') },
  { name: 'Authlib', language: PYTHON, program: 'authlib', file: 'authlib_verify.py', version: pip('Authlib') },
  { name: 'joserfc', language: PYTHON, program: 'joserfc', file: 'joserfc_verify.py', version: pip('joserfc') },
  {
    name: 'python-jose',
    language: PYTHON,
    program: 'python_jose',
    file: 'python_jose_verify.py',
    version: pip('python-jose'),
  },
  {
    name: 'golang-jwt',
    language: GO,
    program: 'golang-jwt',
    file: 'golang-jwt.go',
    version: goModule('golang-jwt/jwt/v5'),
  },
  { name: 'go-oidc', language: GO, program: 'go-oidc', file: 'go-oidc.go', version: goModule('coreos/go-oidc/v3') },
  { name: 'lestrrat jwx', language: GO, program: 'jwx', file: 'jwx.go', version: goModule('lestrrat-go/jwx/v3') },
  {
    name: 'Spring Security',
    language: JAVA,
    program: 'spring',
    file: `${JAVA_FILES}/SpringSecurity.java`,
    version: maven('spring-security-oauth2-jose'),
  },
  {
    name: 'Nimbus',
    language: JAVA,
    program: 'nimbus',
    file: `${JAVA_FILES}/Nimbus.java`,
    version: maven('nimbus-jose-jwt'),
  },
  { name: 'jjwt', language: JAVA, program: 'jjwt', file: `${JAVA_FILES}/Jjwt.java`, version: maven('jjwt-impl') },
  {
    name: 'auth0 java-jwt',
    language: JAVA,
    program: 'auth0',
    file: `${JAVA_FILES}/Auth0.java`,
    version: maven('java-jwt'),
  },
  {
    name: 'jsonwebtoken',
    language: RUST,
    program: 'jsonwebtoken',
    file: 'src/jsonwebtoken.rs',
    version: /jsonwebtoken = \{ version = "=?([\d.]+)"/,
  },
];

export function versionOf({ language, version }: Library): string {
  const manifest = readFileSync(join(language.folder, language.manifest), 'utf8');
  const found = version.exec(manifest)?.[1];
  if (!found) throw new Error(`${language.folder}/${language.manifest} lacks ${version}`);
  return found;
}
