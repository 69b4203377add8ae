// Reads access tokens from standard input, and prints a line for each: `ok <sub>` or `rejected <why>`.
//
//   npm ci
//   ISSUER=http://localhost:8080 AUDIENCE=latchkey node main.mjs jose <<< "$ACCESS"
import { createInterface } from 'node:readline';

const { verifier } = await import(`./${process.argv[2]}.mjs`);
const verify = verifier(process.env.ISSUER, process.env.AUDIENCE);

for await (const token of createInterface({ input: process.stdin })) {
  try {
    const { sub } = await verify(token);
    console.log(`ok ${sub}`);
  } catch (error) {
    console.log(`rejected ${error.message.split('\n', 1)[0]}`);
  }
}
