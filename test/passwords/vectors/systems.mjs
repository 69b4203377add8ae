// Prints [name, hash, made by] of each form that an npm package writes. Arguments: the password.
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { hashPassword } from 'better-auth/crypto';

const require = createRequire(import.meta.url);
const password = process.argv[2];
const versionOf = (name) => {
  const { dependencies } = require('./package.json');
  return `${name} ${dependencies[name]}`;
};
const rows = [['better-auth', await hashPassword(password), versionOf('better-auth')]];

const { FirebaseScrypt } = require('firebase-scrypt');
const parameters = {
  memCost: 10,
  rounds: 8,
  saltSeparator: 'Bw==',
  signerKey: createHash('sha512').update('signer key').digest('base64'),
};
const salt = createHash('sha256').update('salt').digest().subarray(0, 10).toString('base64');
const hash = await new FirebaseScrypt(parameters).hash(password, salt);
const { signerKey } = parameters;
rows.push(
  [
    'Firebase, as Ory writes it',
    `$firescrypt$ln=10,r=8,p=1$${salt}$${hash}$Bw==$${signerKey}`,
    versionOf('firebase-scrypt'),
  ],
  [
    'Firebase, as Supabase writes it',
    `$fbscrypt$v=1,n=10,r=8,p=1,ss=Bw==,sk=${signerKey}$${salt}$${hash}`,
    versionOf('firebase-scrypt'),
  ],
);

rows.push(['Drupal 7', require('drupal-hash').hashPassword(password), versionOf('drupal-hash')]);
const aspNetCore = require('aspnetcore-identity-password-hasher');
rows.push([
  'ASP.NET Core Identity, version 3',
  await aspNetCore.hash(password),
  versionOf('aspnetcore-identity-password-hasher'),
]);
rows.push([
  'ASP.NET Identity, version 2',
  require('aspnet-identity-pw').hashPassword(password),
  versionOf('aspnet-identity-pw'),
]);
console.log(JSON.stringify(rows));
