// Calls a second and processor time a call of Verify and its kin, beside servers without any logic, in rounds that take turns.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Environment } from '../../src/config/config.ts';
import type { Certificates } from '../support/certificates.ts';
import { ANSWER_BYTES, CONTENDERS } from './contenders.ts';
import {
  type Backends,
  h2load,
  LOAD_CORE,
  median,
  pause,
  type Rate,
  resume,
  SERVER_CORE,
  type Server,
  sendLoad,
  serve,
  signIn,
  startNode,
  startProgram,
} from './harness.ts';
import { BATCH, type CheckedLoad, check, createLoads, withAnswerBytes } from './loads.ts';
import { buildNative, GRPC_GO_SERVER, type NativeContender, TONIC_SERVER } from './native-contenders.ts';

const run = promisify(execFile);

export const VERIFY = 'Verify, gRPC, repeated token';
export const VERIFY_TLS = 'Verify, gRPC over TLS, repeated token';
export const FIRST_SEEN = 'Verify, gRPC, first-seen token';
export const UNCACHED = 'Verify, gRPC, without a token cache';
export const EXT_AUTHZ = 'ext_authz Check, gRPC, repeated token';
export const CHECK_ROLE = 'CheckRole, gRPC, repeated token';
export const HEALTH = 'Health/Check, gRPC';
export const BATCH_VERIFY = `BatchVerify of ${BATCH}, tokens`;
export const VERIFY_JSON = 'Verify, JSON, HTTP/1.1';
export const VERIFY_CONNECT = 'Verify, Connect, HTTP/1.1';
export const FORWARD_AUTH = 'forward auth, HTTP/1.1';
export const FORWARD_AUTH_ROLE = 'forward auth with a role, HTTP/1.1';
export const INTROSPECTION = 'introspection, HTTP/1.1';
export const GRPC_JS = 'grpc-js, empty handler';
export const GRPC_GO = 'grpc-go, empty handler';
export const TONIC = 'tonic, empty handler';
export const CONNECT_NODE = 'connect-node, empty handler, gRPC';
export const CONNECT_ON_ENGINE = 'Connect on our engine, empty handler, gRPC';
export const HTTP2 = 'bare node:http2, a constant';
export const HTTP2_TLS = 'bare node:http2 over TLS, a constant';
export const HTTP_JSON = 'bare node:http, JSON';
export const HTTP_FORWARD_AUTH = 'bare node:http, headers of forward auth';
export const SOCKET = 'prepared frames on a socket';

export type Contender = {
  name: string;
  isOurs: boolean;
  load: CheckedLoad;
  /** @returns why not, where the contender cannot be had */
  start(): Promise<Server | string>;
  authorityFile?: string;
  /** In the place of h2load. */
  measure?(server: Server, seconds: number): Promise<Rate>;
  /** Answers of a call. */
  per?: number;
};

export type Setting = Pick<Backends, 'environment'> & { accessToken: string; certFile: string; keyFile: string };

/** At a server of its own: a server that has hashed and signed before has another heap. */
export async function openSetting({ environment }: Backends, certificates: Certificates): Promise<Setting> {
  const server = await serve(environment, SERVER_CORE);
  const { accessToken } = await signIn(server.url);
  await server.stop();
  return { environment, accessToken, ...certificates.make('bench', 'DNS:localhost') };
}

export function contendersOf({ environment, accessToken, certFile, keyFile }: Setting): Contender[] {
  const loads = createLoads(accessToken);
  const constant = withAnswerBytes(loads.verify, ANSWER_BYTES);
  const empty = withAnswerBytes(loads.verify, 0);
  const ours = (name: string, load: CheckedLoad, settings: Environment = {}, more: Partial<Contender> = {}) => ({
    name,
    isOurs: true,
    load,
    start: () => serve({ ...environment, ...settings }, SERVER_CORE),
    ...more,
  });
  const bare = (name: string, load: CheckedLoad, kind: string, args: string[] = [], more: Partial<Contender> = {}) => ({
    name,
    isOurs: false,
    load,
    start: async () =>
      kind in CONTENDERS
        ? startNode(['test/bench/start-contender.ts', kind, ...args], {}, SERVER_CORE)
        : `no ${kind} in contenders.ts`,
    ...more,
  });
  const native = (name: string, contender: NativeContender) => ({
    name,
    isOurs: false,
    load: constant,
    start: async () => {
      const program = await buildNative(contender);
      return program === null ? `no ${contender.name} here` : startProgram([program], {}, SERVER_CORE);
    },
  });
  const tls = { authorityFile: certFile };
  const tlsFiles = { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile };
  return [
    ours(VERIFY, loads.verify),
    bare(GRPC_JS, constant, 'grpc-js'),
    native(GRPC_GO, GRPC_GO_SERVER),
    native(TONIC, TONIC_SERVER),
    bare(HTTP2, constant, 'http2'),
    bare(SOCKET, constant, 'socket'),
    ours(FIRST_SEEN, loads.verify, {}, { measure: (server, seconds) => firstSeenRate(environment, server, seconds) }),
    ours(UNCACHED, loads.verify, { TOKEN_CACHE_MB: '0' }),
    ours(EXT_AUTHZ, loads.extAuthz),
    ours(CHECK_ROLE, loads.checkRole),
    ours(HEALTH, loads.health),
    ours(BATCH_VERIFY, loads.batch, {}, { per: BATCH }),
    ours(VERIFY_TLS, loads.verify, tlsFiles, tls),
    bare(HTTP2_TLS, constant, 'http2-tls', [certFile, keyFile], tls),
    bare(CONNECT_NODE, empty, 'connect-node'),
    bare(CONNECT_ON_ENGINE, empty, 'connect-on-engine'),
    ours(VERIFY_JSON, loads.json),
    ours(VERIFY_CONNECT, loads.connect),
    bare(HTTP_JSON, loads.json, 'http'),
    ours(FORWARD_AUTH, loads.forwardAuth),
    ours(FORWARD_AUTH_ROLE, loads.forwardAuthWithRole),
    bare(HTTP_FORWARD_AUTH, loads.forwardAuth, 'http-forward-auth'),
    ours(INTROSPECTION, loads.introspection),
  ];
}

export type Rates = {
  /** The rounds of each contender, in order. */
  rounds: Map<string, Rate[]>;
  /** Why a contender is missing. */
  missing: Map<string, string>;
};

export type RateOptions = { rounds: number; seconds: number; folder: string };

type Started = Contender & { server: Server; answerBytes: number };

/** The caches of the processor have the data of the contender before. */
const WARM_UP_SECONDS = 0.4;

/** A process for each contender: a process that has served another protocol has another heap. */
export async function measureRates(contenders: Contender[], { rounds, seconds, folder }: RateOptions): Promise<Rates> {
  const started: Started[] = [];
  const rates: Rates = { rounds: new Map(), missing: new Map() };
  for (const contender of contenders) {
    const server = await contender.start();
    if (typeof server === 'string') {
      rates.missing.set(contender.name, server);
      continue;
    }
    if (contender.authorityFile) server.url = server.url.replace('http:', 'https:');
    const answerBytes = await check(server, contender.load, contender.authorityFile);
    started.push({ ...contender, server, answerBytes });
    rates.rounds.set(contender.name, []);
    pause(server);
  }
  // The first round warms up.
  for (let round = -1; round < rounds; round += 1) {
    for (const { name, server, load, measure, answerBytes, per = 1 } of started) {
      await resume(server);
      await sendLoad(server, load, WARM_UP_SECONDS, { folder });
      const rate = await (measure?.(server, seconds) ?? h2load(server, load, seconds, { folder, answerBytes }));
      pause(server);
      const { perSecond, cpuPerCall } = rate;
      if (round >= 0)
        rates.rounds.get(name)?.push({ ...rate, perSecond: perSecond * per, cpuPerCall: cpuPerCall / per });
    }
  }
  for (const { server } of started) await server.stop();
  return rates;
}

async function firstSeenRate(environment: Environment, { port, pid }: Server, seconds: number): Promise<Rate> {
  const args = ['test/bench/first-seen-load.ts', String(port), String(pid), String(seconds)];
  const env = { ...environment } as NodeJS.ProcessEnv;
  const { stdout } = await run('taskset', ['-c', String(LOAD_CORE), process.execPath, ...args], { env });
  return JSON.parse(stdout);
}

export function medianOf(rates: Rates, name: string): Rate | null {
  const all = rates.rounds.get(name);
  if (!all) return null;
  const of = (field: keyof Rate) => median(all.map((one) => one[field]));
  return { perSecond: of('perSecond'), cpuPerCall: of('cpuPerCall'), busy: of('busy') };
}

/** The median over the rounds, because the contenders of one round ran next to each other in time. Null without both. */
export function compare(
  { rounds }: Rates,
  one: string,
  other: string,
  inRound: (one: Rate, other: Rate) => number,
): number | null {
  const [ones, others] = [rounds.get(one), rounds.get(other)];
  if (!ones || !others) return null;
  return median(ones.map((rate, round) => inRound(rate, others[round] as Rate)));
}
