// The figures that we require of ourselves: the second table of `npm run bench`.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type Backends, median, quantile, SERVER_CORE } from './harness.ts';
import { idleMemory } from './idle-memory.ts';
import { comparedLatencies, medianQuantiles, stormLatencies } from './latencies.ts';
import { loginRates } from './logins.ts';
import * as names from './rates.ts';
import { compare, type Rates } from './rates.ts';
import { compareRounds, refreshRates } from './refresh-rates.ts';
import { revocationDelays } from './revocation-delays.ts';

const run = promisify(execFile);

export type Row = {
  what: string;
  floor?: string;
  goal?: string;
  /** Contenders whose rates it needs. */
  needs: string[];
  measured(rates: Rates): Promise<string>;
};

export type RowOptions = {
  backends: Backends;
  setting: names.Setting;
  contenders: names.Contender[];
  rounds: number;
  seconds: number;
};

const LATENCY_PER_SECOND = 5_000;
const LATENCY_CONTENDERS = [names.VERIFY, names.HTTP2, names.GRPC_GO, names.SOCKET];
/** The answer of a handler that is not in this run. */
const ABSENT = '-';

export function rowsOf(options: RowOptions): Row[] {
  const { backends, setting, rounds, seconds } = options;
  const local = once(localRates, rounds);
  const login = once(loginRates, backends, rounds);
  const storm = once(stormLatencies, backends, rounds);
  const verifyLatency = once(() =>
    comparedLatencies(
      options.contenders.filter(({ name }) => LATENCY_CONTENDERS.includes(name)),
      { accessToken: setting.accessToken, perSecond: LATENCY_PER_SECOND, rounds },
    ),
  );
  const refresh = once(refreshRates, { rounds, seconds });
  const serve = ['src/main.ts', 'serve'];
  const bareHttp2 = ['test/bench/start-contender.ts', 'http2'];
  return [
    against('Verify, repeated token, against an empty grpc-js handler', names.VERIFY, names.GRPC_JS, '5', '8'),
    against('the same against an empty grpc-go handler', names.VERIFY, names.GRPC_GO, '1.5', '2.5'),
    against('the same against an empty tonic handler', names.VERIFY, names.TONIC),
    against('the same against bare node:http2 with a constant', names.VERIFY, names.HTTP2, '0.9'),
    against('the same against an empty connect-node handler', names.VERIFY, names.CONNECT_NODE, '8'),
    against('Verify over TLS against bare node:http2 over TLS', names.VERIFY_TLS, names.HTTP2_TLS, '2.5', '4'),
    against('ext_authz Check against Verify', names.EXT_AUTHZ, names.VERIFY, '0.75', '0.9'),
    against('CheckRole against Verify', names.CHECK_ROLE, names.VERIFY),
    against('Health/Check against Verify', names.HEALTH, names.VERIFY),
    against('Verify, first-seen against repeated token', names.FIRST_SEEN, names.VERIFY, '0.25'),
    {
      what: 'CPU of a first-seen token above a repeated one',
      floor: '50 µs',
      goal: '45 µs',
      needs: [names.FIRST_SEEN, names.VERIFY],
      async measured(rates) {
        const more = compare(rates, names.FIRST_SEEN, names.VERIFY, (one, other) => one.cpuPerCall - other.cpuPerCall);
        return more === null ? ABSENT : `${more.toFixed(1)} µs`;
      },
    },
    {
      what: 'Verify, first-seen, against public signature plus transport',
      floor: '1',
      needs: [names.FIRST_SEEN, names.HTTP2],
      async measured(rates) {
        const { publicSignature } = await local();
        const toConstant = compare(
          rates,
          names.HTTP2,
          names.FIRST_SEEN,
          (one, other) => (publicSignature + one.cpuPerCall) / other.cpuPerCall,
        );
        return toConstant === null ? ABSENT : ratio(toConstant);
      },
    },
    against(
      "an empty unary RPC by Connect's handlers on our engine, against connect-node",
      names.CONNECT_ON_ENGINE,
      names.CONNECT_NODE,
      '1.8',
      '3',
    ),
    against(
      'forward auth, HTTP/1.1, against bare node:http',
      names.FORWARD_AUTH,
      names.HTTP_FORWARD_AUTH,
      '0.9',
      '1.2',
    ),
    against('the same with a required role', names.FORWARD_AUTH_ROLE, names.HTTP_FORWARD_AUTH, '0.9', '1.2'),
    against('forward auth against Verify, JSON', names.FORWARD_AUTH, names.VERIFY_JSON),
    against('introspection against Verify, JSON', names.INTROSPECTION, names.VERIFY_JSON),
    against('JSON over HTTP/1.1 against bare node:http', names.VERIFY_JSON, names.HTTP_JSON, '0.8'),
    against('Connect over HTTP/1.1 against bare node:http', names.VERIFY_CONNECT, names.HTTP_JSON, '0.8'),
    against('BatchVerify of 100 against unary, tokens a second', names.BATCH_VERIFY, names.VERIFY),
    {
      what: `p99 of Verify at ${thousands(LATENCY_PER_SECOND)} a second, against bare node:http2`,
      floor: '0.5',
      goal: '0.2',
      needs: [],
      async measured() {
        const all = await verifyLatency();
        const [ours, bare] = [all.get(names.VERIFY) ?? [], all.get(names.HTTP2) ?? []];
        return ratio(median(ours.map(({ p99 }, round) => p99 / (bare[round]?.p99 ?? 0))));
      },
    },
    ...LATENCY_CONTENDERS.map((name) => ({
      what: `p50, p99 at ${thousands(LATENCY_PER_SECOND)} a second: ${name}`,
      needs: [],
      async measured() {
        const all = (await verifyLatency()).get(name);
        if (!all) return ABSENT;
        const { p50, p99 } = medianQuantiles(all);
        return `${ms(p50)}, ${ms(p99)}`;
      },
    })),
    {
      what: 'Verify at 1,000 a second, idle: p50, p99',
      needs: [],
      measured: async () => ((of) => `${ms(of.p50)}, ${ms(of.p99)}`)((await storm()).idle),
    },
    {
      what: 'the same during a storm of sign-ins',
      floor: 'three times the idle p99',
      needs: [],
      async measured() {
        const { storm: of, logins } = await storm();
        return `${ms(of.p50)}, ${ms(of.p99)} (${logins.toFixed(0)} sign-ins a second)`;
      },
    },
    {
      what: 'Refresh a second, Postgres and callers on the same two cores',
      needs: [],
      measured: async () => thousands(median((await refresh()).current.map(({ perSecond }) => perSecond))),
    },
    {
      what: 'Refresh a second against that of commit 2948b66, same run',
      floor: '4',
      goal: '8',
      needs: [],
      async measured() {
        const toFormer = compareRounds(await refresh(), (current, former) => current.perSecond / former.perSecond);
        return toFormer === null ? ABSENT : ratio(toFormer.median);
      },
    },
    memory('RSS with 10,000 idle HTTP/2 connections', '250 MB', '150 MB', serve, backends.environment),
    memory('the same of bare node:http2', undefined, undefined, bareHttp2, {}),
    {
      what: 'local verification, cached, a second',
      floor: '500,000',
      needs: [],
      measured: async () => thousands(1e6 / (await local()).cached),
    },
    {
      what: 'local verification, first-seen, a second',
      needs: [],
      measured: async () => thousands(1e6 / (await local()).firstSeen),
    },
    {
      what: 'Login against raw argon2id of the core that hashes',
      floor: '0.95',
      needs: [],
      measured: async () => ((of) => ratio(of.login / of.raw))(await login()),
    },
    { what: 'Login a second, on that core', needs: [], measured: async () => (await login()).login.toFixed(1) },
    {
      what: 'commit to rejection at another process, by NOTIFY: p50, p99',
      floor: 'p99 250 ms',
      needs: [],
      measured: async () => delays(await revocationDelays(backends, undefined, 100)),
    },
    {
      what: 'the same by polling alone',
      floor: 'p99 1.5 s',
      needs: [],
      measured: async () => delays(await revocationDelays(backends, 'none', 30)),
    },
  ];

  function memory(
    what: string,
    floor: string | undefined,
    goal: string | undefined,
    script: string[],
    environment: Backends['environment'],
  ): Row {
    return {
      what,
      ...(floor && { floor }),
      ...(goal && { goal }),
      needs: [],
      async measured() {
        const used = await idleMemory(script, environment, setting.accessToken);
        if (typeof used === 'string') return used;
        return `${used.afterMb.toFixed(0)} MB (${used.beforeMb.toFixed(0)} before)`;
      },
    };
  }
}

/** Calls a second of the one against the other, and the same by processor time. */
function against(what: string, one: string, other: string, floor?: string, goal?: string): Row {
  return {
    what,
    ...(floor && { floor }),
    ...(goal && { goal }),
    needs: [one, other],
    async measured(rates) {
      const byCalls = compare(rates, one, other, (a, b) => a.perSecond / b.perSecond);
      const byCpu = compare(rates, one, other, (a, b) => b.cpuPerCall / a.cpuPerCall);
      if (byCalls !== null && byCpu !== null) return `${ratio(byCalls)} (CPU ${ratio(byCpu)})`;
      return rates.missing.get(one) ?? rates.missing.get(other) ?? ABSENT;
    },
  };
}

async function localRates(rounds: number) {
  const args = ['-c', String(SERVER_CORE), process.execPath, 'test/bench/local.ts', String(rounds)];
  const { stdout } = await run('taskset', args);
  const each = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<'firstSeen' | 'cached' | 'publicSignature', number>);
  const of = (name: 'firstSeen' | 'cached' | 'publicSignature') => median(each.map((one) => one[name]));
  return { firstSeen: of('firstSeen'), cached: of('cached'), publicSignature: of('publicSignature') };
}

/** The same promise for each caller. */
function once<Args extends unknown[], T>(measure: (...args: Args) => Promise<T>, ...args: Args): () => Promise<T> {
  let measured: Promise<T> | null = null;
  return () => {
    measured ??= measure(...args);
    return measured;
  };
}

export function ratio(value: number): string {
  return value.toFixed(2);
}

export function thousands(value: number): string {
  return Math.round(value).toLocaleString('en');
}

function ms(value: number): string {
  return `${value < 1 ? value.toFixed(2) : value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;
}

function delays(all: number[]): string {
  return `${ms(quantile(all, 0.5))}, ${ms(quantile(all, 0.99))}`;
}
