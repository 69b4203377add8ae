// `npm run bench:peers [-- rounds]` measures the verification of a token by another product beside that of Latchkey, on one core:
// Keycloak's introspection, in development mode with a database in memory, where Maven and Java are there.
//
// Authorizer (github.com/authorizerdev/authorizer) has no release that a package registry serves, so this script cannot start it.
// Measured by hand with Authorizer 2.4, in one run on one core with h2load, CPU of the server a call: ValidateJwtToken over gRPC of Authorizer
// 2.4 with SQLite 514 µs, beside an empty handler of grpc-go 24 µs and Verify of Latchkey 56 µs. To repeat it, build its main package
// with Go, start it pinned to a core, sign a user up, and send h2load the gRPC message of its ValidateJwtToken with the access token.

import { openCertificates } from '../support/certificates.ts';
import { pin, SERVER_CORE, sendLoad, startBackends } from './harness.ts';
import { KEYCLOAK, startKeycloak } from './keycloak.ts';
import { compare, contendersOf, INTROSPECTION, measureRates, medianOf, openSetting, VERIFY } from './rates.ts';

const PEER = `Keycloak ${KEYCLOAK}, introspection`;
const SECONDS = 3;
/** The JVM compiles hot code. */
const WARM_UP_SECONDS = 30;
const rounds = Number(process.argv[2] ?? 3);

pin(process.pid, SERVER_CORE);
const backends = await startBackends();
const certificates = await openCertificates();
const keycloak = await startKeycloak();
if (typeof keycloak === 'string') console.log(`${PEER}: ${keycloak}`);
else {
  const { server, introspection: load } = keycloak;
  await sendLoad(server, load, WARM_UP_SECONDS, backends);
  const ours = contendersOf(await openSetting(backends, certificates));
  const contenders = [
    ...ours.filter(({ name }) => name === VERIFY || name === INTROSPECTION),
    { name: PEER, isOurs: false, load, start: async () => server },
  ];
  const rates = await measureRates(contenders, { rounds, seconds: SECONDS, folder: backends.folder });
  console.log('|  | calls a second | CPU a call | calls a second against it |\n| --- | --- | --- | --- |');
  for (const { name } of contenders) {
    const rate = medianOf(rates, name);
    const ratio = compare(rates, PEER, name, (one, other) => one.perSecond / other.perSecond) ?? 0;
    const cells = [name, rate?.perSecond.toFixed(0), `${rate?.cpuPerCall.toFixed(1)} µs`, ratio.toFixed(4)];
    console.log(`| ${cells.join(' | ')} |`);
  }
}
await backends.stop();
certificates.remove();
process.exit();
