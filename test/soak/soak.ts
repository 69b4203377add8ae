// `npm run soak` sends a mixed load to a service for SOAK_SECONDS, ten minutes by default. It prints the memory every ten
// seconds, and fails when the memory grows in the last two thirds of the time.
import { setTimeout as sleep } from 'node:timers/promises';
import { processEnvironment } from '../../src/config/config.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { rssMegabytes, signIn, startBackends, startNode } from '../bench/harness.ts';
import { growthOf } from './growth.ts';
import { inspectMemory } from './inspected-memory.ts';
import { openSoakLoads, type SoakLoad } from './loads.ts';

const SECONDS = Number(processEnvironment().SOAK_SECONDS ?? 600);
const SAMPLE_SECONDS = 10;
/** The limit for the resident memory, and for what a full collection leaves, in the last two thirds of the time. */
const MAX_GROWTH_MB = 5;
const MEGABYTE = 2 ** 20;

const backends = await startBackends();
const inspectorPort = await freePort();
const server = await startNode([`--inspect=${inspectorPort}`, 'src/main.ts', 'serve'], backends.environment, null);
const memory = await inspectMemory(inspectorPort);
const { accessToken } = await signIn(server.url);
const { loads, close } = await openSoakLoads(server, accessToken);
const counts = new Map(loads.map(({ name }) => [name, 0]));
const startedAt = performance.now();
const elapsedSeconds = () => (performance.now() - startedAt) / 1000;

async function repeat({ name, pauseMs, call }: SoakLoad): Promise<void> {
  while (elapsedSeconds() < SECONDS) {
    await call();
    counts.set(name, (counts.get(name) ?? 0) + 1);
    await sleep(pauseMs);
  }
}

type Memory = { seconds: number; rssMb: number; liveMb: number };

async function lookAtMemory(): Promise<Memory> {
  const liveMb = (await memory.liveBytes()) / MEGABYTE;
  return { seconds: elapsedSeconds(), rssMb: rssMegabytes(server.pid), liveMb };
}

async function watchMemory(): Promise<Memory[]> {
  const samples: Memory[] = [];
  while (elapsedSeconds() < SECONDS) {
    await sleep(SAMPLE_SECONDS * 1000);
    const sample = await lookAtMemory();
    samples.push(sample);
    const calls = [...counts.values()].reduce((sum, count) => sum + count, 0);
    console.log(
      `${sample.seconds.toFixed(0).padStart(5)} s  RSS ${sample.rssMb.toFixed(1).padStart(6)} MB  live ${sample.liveMb.toFixed(1).padStart(6)} MB  ${calls.toLocaleString('en')} calls`,
    );
  }
  return samples;
}

const [samples] = await Promise.all([watchMemory(), ...loads.map(repeat)]);
for (const [name, count] of counts) console.log(`${name.padEnd(30)} ${count.toLocaleString('en')}`);

const settled = samples.filter(({ seconds }) => seconds > SECONDS / 3);
const growthMb = {
  RSS: growthOf(settled.map(({ seconds, rssMb }) => ({ seconds, value: rssMb }))),
  'live memory': growthOf(settled.map(({ seconds, liveMb }) => ({ seconds, value: liveMb }))),
};
for (const [what, growth] of Object.entries(growthMb)) {
  console.log(`${what}: ${growth.toFixed(2)} MB more in the last two thirds, at most ${MAX_GROWTH_MB} MB allowed`);
}
close();
memory.close();
await server.stop();
await backends.stop();
// Also a value that is not a number fails.
process.exit(Object.values(growthMb).every((growth) => growth <= MAX_GROWTH_MB) ? 0 : 1);
