// A small service behind Latchkey: it verifies the access tokens of its callers itself, without a call for each, and rejects them
// within a second of a sign-out. Run it beside `npm start`:
//
//   npm run build
//   LATCHKEY_KEY=$(cat .latchkey/dev/service-key) npm run example
//   curl localhost:9000/orders -H "authorization: Bearer $ACCESS"
import { createServer } from 'node:http';
import { createLatchkey, httpMiddleware, principalOf } from '@latchkey/client';

const { LATCHKEY_URL = 'http://localhost:8080', LATCHKEY_KEY = '', AUDIENCE = '', PORT = '9000' } = process.env;

const latchkey = createLatchkey({
  // Several servers of one deployment, separated by commas: when one fails, the next one is followed.
  url: LATCHKEY_URL.split(','),
  serviceKey: LATCHKEY_KEY,
  // Where Latchkey has AUDIENCE=orders, the same value rejects tokens that are for other services. Empty accepts every audience.
  audience: AUDIENCE,
  onError: (error) => console.error('latchkey:', error instanceof Error ? error.message : error),
});
const protect = httpMiddleware(latchkey);

const orders = new Map<string, string[]>();

const server = createServer((request, response) => {
  protect(request, response, () => {
    const principal = principalOf(request);
    // Keyed by id: an email can change, and belong to another account later. A service has a name instead.
    const [id, who] =
      principal.kind === 'user' ? [principal.userId, principal.email] : [principal.name, principal.name];
    const mine = orders.get(id) ?? [];
    if (request.method === 'POST') orders.set(id, [...mine, `order ${mine.length + 1}`]);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ who, orders: orders.get(id) ?? [] }));
  });
});

await latchkey.ready().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
server.listen(Number(PORT), () => {
  const address = server.address();
  console.log(`orders on port ${typeof address === 'object' ? address?.port : address}`);
});
process.once('SIGTERM', () => {
  server.close();
  latchkey.close();
});
