// Measures the hashes that one core computes in a process that does nothing else: `node raw-argon2.ts <seconds>`.
import argon2 from 'argon2';
import { readConfig } from '../../src/config/config.ts';

const sample = readConfig({
  PUBLIC_URL: 'http://x',
  DATABASE_URL: 'postgres://x',
  REDIS_URL: 'redis://x',
  SMTP_URL: 'smtp://x',
  MAIL_FROM: 'a@b.example',
  MASTER_KEY: Buffer.from(Array.from({ length: 32 }, (_, n) => n * 7)).toString('base64'),
});
const hash = await argon2.hash('the right pass phrase', {
  type: argon2.argon2id,
  memoryCost: sample.passwords.argon2.memoryKib,
  timeCost: sample.passwords.argon2.iterations,
  parallelism: sample.passwords.argon2.parallelism,
});
const startedAt = performance.now();
let hashes = 0;
while (performance.now() - startedAt < Number(process.argv[2] ?? 3) * 1000) {
  await argon2.verify(hash, 'the right pass phrase');
  hashes += 1;
}
console.log((hashes * 1000) / (performance.now() - startedAt));
