// How long after its acknowledged end a token is still accepted, by each verifier.
import { setTimeout as sleep } from 'node:timers/promises';
import { auth } from '../support/clients.ts';
import { callOnce, isTemporary } from './client.ts';
import { type Load, noteUnexpected } from './load.ts';

const PROBE_EVERY_MS = 100;
const WATCHED_MS = 8_000;
/** The reasons with which an ended token is rejected. */
const ENDED = ['TOKEN_REVOKED', 'TOKEN_STALE'];

type Probe = { verifier: string; ask: () => Promise<'accepted' | 'rejected' | 'undecided'> };

/** Probes a token that has ended until each verifier has rejected it. */
export function watchRevocation(load: Load, accessToken: string, endedAt: number): void {
  for (const probe of probesOf(load, accessToken)) load.beside(watchOne(load, probe, endedAt));
}

async function watchOne(load: Load, { verifier, ask }: Probe, endedAt: number): Promise<void> {
  while (performance.now() - endedAt < WATCHED_MS && !load.isOver()) {
    const afterMs = performance.now() - endedAt;
    const answer = await ask();
    if (answer === 'rejected') return;
    if (answer === 'accepted') load.ledger.lateAcceptances.push({ verifier, afterMs });
    await sleep(PROBE_EVERY_MS);
  }
}

function probesOf({ ledger, servers, local }: Load, accessToken: string): Probe[] {
  const atServers = servers.map(({ name, port }) => ({
    verifier: name,
    async ask() {
      const answer = await callOnce(port, {
        method: auth.verify,
        input: { accessToken },
        requestId: ledger.newRequestId(),
      });
      if (answer.code === 'ok') return 'accepted' as const;
      if (ENDED.includes(answer.reason)) return 'rejected' as const;
      if (isTemporary(answer)) return 'undecided' as const;
      noteUnexpected(ledger, `Verify of an ended token at ${name}`, answer);
      return 'rejected' as const;
    },
  }));
  const atLocal = {
    verifier: 'local',
    async ask() {
      try {
        await local.verify(accessToken);
        return 'accepted' as const;
      } catch (error) {
        const { reason } = error as { reason?: string };
        return ENDED.includes(reason ?? '') ? ('rejected' as const) : ('undecided' as const);
      }
    },
  };
  return [...atServers, atLocal];
}
