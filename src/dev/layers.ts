// The layers of src: test/walls.test.ts checks the imports against this table, and docs/architecture.md is generated
// from it.

type Room = { name: string; owns: string };

/** The lowest layer first. A room may only import from layers below its own. */
export const LAYERS: Room[][] = [
  [
    { name: 'domain', owns: 'rules and values: pure functions and types' },
    { name: 'http2', owns: 'an HTTP/2 server on any duplex stream: frames, HPACK, flow control, its limits' },
    {
      name: 'async',
      owns: 'small tools for concurrency: pauses, time-outs, backoff, rate gates, single flight, shared runs',
    },
  ],
  [{ name: 'process', owns: 'the operating system process: log, signals, worker processes, release' }],
  [
    { name: 'verifier', owns: 'the decision about an access token: form, signature, revocation status' },
    { name: 'policy', owns: 'the requirements of the routes behind gateways, and the policy file' },
    { name: 'limits', owns: 'rate limits, counted in Redis or in this process' },
    { name: 'passwords', owns: 'password hashes and password rules' },
    { name: 'factors', owns: 'second factors: TOTP, recovery codes, passkey ceremonies' },
    { name: 'oauth', owns: 'identity providers: OpenID Connect and GitHub' },
    { name: 'redis', owns: 'connections to Redis and what Redis must allow' },
    { name: 'grpc', owns: 'gRPC health and reflection' },
    { name: 'store/postgres', owns: 'connections to Postgres, migrations, privileges, primary checks' },
    {
      name: 'server/transport',
      owns: 'sockets: TLS, PROXY protocol, HTTP/1.1 and HTTP/2 connections and their limits',
    },
  ],
  [
    { name: 'store', owns: 'the tables: all SQL, a file a table' },
    { name: 'client', owns: 'the client library: typed clients, interceptors, local verification' },
  ],
  [
    { name: 'keys', owns: 'signing keys, keys derived for one purpose, API keys, service keys' },
    { name: 'revocation-feed', owns: 'revocation events: follows them in Postgres and serves them to Watch' },
    { name: 'authorization', owns: 'the audit trail of denied roles and of roles that callers read' },
    { name: 'telemetry', owns: 'OpenTelemetry: metrics and traces' },
  ],
  [
    { name: 'deps.ts', owns: 'the list of what use cases can take' },
    { name: 'jobs', owns: 'work after the answer: outbox relay, queues, mail, audit events, housekeeping' },
    { name: 'server/calls', owns: 'what every call carries: record, deadline, slot, log line, errors' },
  ],
  [
    { name: 'auth', owns: 'use cases of AuthService and VerifierService' },
    { name: 'admin', owns: 'use cases of AdminService' },
    { name: 'config', owns: 'the environment, read and checked' },
  ],
  [
    { name: 'account', owns: 'use cases of AccountService' },
    { name: 'cli', owns: 'the commands for operators' },
    { name: 'server/endpoints', owns: 'plain HTTP: probes, CORS' },
  ],
  [{ name: 'server/rpc', owns: 'Connect: routes, access, messages' }],
  [
    { name: 'server/gateway', owns: 'ext_authz and forward auth for gateways' },
    { name: 'server/browser-session', owns: 'pages and JSON below /session/: sign-in and step-up with cookies' },
    { name: 'server/oauth', owns: 'OAuth 2.0 over plain HTTP: tokens, introspection, revocation, metadata, JWKS' },
  ],
  [{ name: 'server/fast-path', owns: 'Verify and related calls, answered from memory before Connect' }],
  [{ name: 'server/server.ts', owns: 'the order in which a request passes through the server' }],
  [{ name: 'app', owns: 'the parts of the service, constructed from their settings' }],
  [{ name: 'app.ts', owns: 'the construction of everything, and its closing in reverse' }],
  [{ name: 'dev', owns: 'npm start: embedded Postgres, Redis and mailbox; the checks; generated documentation' }],
  [{ name: 'programs.ts', owns: 'the programs that run until a signal stops them' }],
  [{ name: 'main.ts', owns: "the command line's entry" }],
];

/** Packages that only some rooms may import. A trailing `/` stands for all packages of a scope. */
export const RESERVED: { packages: string[]; rooms: string[] }[] = [
  { packages: ['kysely', 'pg'], rooms: ['store', 'store/postgres'] },
  { packages: ['@opentelemetry/'], rooms: ['telemetry'] },
  {
    packages: ['@connectrpc/', '@bufbuild/', '@grpc/', 'gen/'],
    rooms: [
      'server/calls',
      'server/endpoints',
      'server/rpc',
      'server/gateway',
      'server/browser-session',
      'server/oauth',
      'server/fast-path',
      'client',
      'grpc',
      'dev',
    ],
  },
  { packages: ['ioredis'], rooms: ['redis', 'limits', 'dev'] },
  { packages: ['bullmq', 'nodemailer'], rooms: ['jobs'] },
  { packages: ['jose'], rooms: ['keys'] },
  { packages: ['yaml'], rooms: ['policy', 'dev'] },
  { packages: ['argon2', 'bcrypt'], rooms: ['passwords'] },
  { packages: ['otpauth', 'uqr', '@simplewebauthn/', '@levischuck/'], rooms: ['factors'] },
];

/** Rooms that may import only these. They are published alone, or could be. `domain` does no input or output. */
export const ONLY: Record<string, string[]> = {
  domain: ['node:crypto', 'node:net'],
  verifier: ['domain'],
  client: ['domain', 'async', 'verifier'],
  grpc: [],
  http2: [],
  factors: ['domain'],
  'server/transport': ['domain', 'async', 'http2'],
};
