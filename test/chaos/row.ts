// One row of the table: one fault under load, and every problem afterwards.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Deployment } from './deployment.ts';
import { type Fault, type FaultContext, HOLD_SECONDS, SETTLE_SECONDS } from './fault.ts';
import { compare, type Findings } from './findings.ts';
import { countLogged, loggedErrors } from './logs.ts';
import { brokenLinks, untilRecovered, untilSettled } from './recovery.ts';
import { type RunningLoad, startLoad } from './running-load.ts';
import { describeLoss, type Interval, wrongAnswers } from './verdict.ts';

export type Row = Findings & {
  fault: string;
  does: string;
  acknowledged: number;
  wrong: string[];
  /** Responses after which clients repeated their calls. */
  interruptions: string[];
  worstRevocationMs: number;
  /** Null where the service has not recovered. */
  recoveryMs: number | null;
  /** Until all effects were done. */
  settledMs: number;
  /** The largest growth of a process. */
  grownMegabytes: number;
  notes: string[];
  /** The reason why it was not run. */
  skipped: string | null;
  isClean: boolean;
  /** The deployment can be used for the next row. */
  isIntact: boolean;
};

const WARM_MS = 2_000;
const AFTER_MS = 2_000;
const GROWTH_BOUND_MB = 150;

/** @param holdSeconds the minimum duration of the fault */
export async function runRow(fault: Fault, deployment: Deployment, holdSeconds = 0): Promise<Row> {
  const { nodes, postgres, mailSink } = deployment;
  const [{ seq: auditSince }] = await postgres.primary.query('SELECT seq FROM audit_chain');
  mailSink.mails.length = 0;
  const startedAt = new Date();
  const running = await startLoad(deployment);
  const notes: string[] = [];
  const cleanUps: (() => Promise<void>)[] = [];
  const context: FaultContext = {
    deployment,
    load: running.load,
    note: (sentence) => void notes.push(sentence),
    afterwards: (cleanUp) => void cleanUps.push(cleanUp),
  };
  try {
    await sleep(WARM_MS);
    const sizes = nodes.map((node) => node.residentMegabytes());
    const inForce = await holdFault(fault, context, holdSeconds);
    const recoveryMs = await untilRecovered(running.load, running.stalenessMs);
    await sleep(AFTER_MS);
    await running.end();
    const observed = await observe(fault, context, { auditSince, startedAt, sizes, recoveryMs });
    return judge(fault, running, { inForce, notes, ...observed });
  } finally {
    await running.end();
    for (const cleanUp of cleanUps.toReversed()) await cleanUp();
  }
}

type Before = { auditSince: string; startedAt: Date; sizes: number[]; recoveryMs: number | null };

/** Checks everything once the load has ended. */
async function observe(
  fault: Fault,
  { deployment, load: { ledger }, note }: FaultContext,
  { auditSince, startedAt, sizes, recoveryMs }: Before,
): Promise<Omit<Observed, 'inForce' | 'notes'>> {
  const { nodes, postgres, mailSink } = deployment;
  const settled = await untilSettled(postgres, 1000 * (fault.settleSeconds ?? SETTLE_SECONDS));
  const grownMegabytes = Math.max(0, ...nodes.map((node, n) => node.residentMegabytes() - (sizes[n] ?? 0)));
  const findings = await compare({ ledger, postgres, mailSink, auditSince });
  const troubles = [
    ...(recoveryMs === null ? ['the service has not recovered'] : []),
    ...(settled.left > 0 ? [`${settled.left} effects still wait after ${Math.round(settled.tookMs / 1000)} s`] : []),
    ...(grownMegabytes > GROWTH_BOUND_MB ? [`a process has grown by ${grownMegabytes} MB`] : []),
    ...nodes.filter((node) => !node.isRunning()).map(({ name }) => `${name} has ended`),
    ...(await brokenLinks(postgres)),
  ];
  if (fault.evidence) note(`${countLogged(nodes, startedAt, fault.evidence)} lines of the logs show it`);
  if (ledger.hasDefects()) for (const message of loggedErrors(nodes, startedAt)) note(message);
  return { findings, troubles, deadLetters: settled.dead, recoveryMs, settledMs: settled.tookMs, grownMegabytes };
}

/** Injects and heals the fault. Returns its duration. */
async function holdFault(fault: Fault, context: FaultContext, holdSeconds: number): Promise<Interval> {
  await fault.inject(context);
  const from = performance.now();
  await sleep(1000 * Math.max(holdSeconds, fault.holdSeconds ?? HOLD_SECONDS));
  const until = performance.now();
  await fault.heal(context);
  return { from, until };
}

type Observed = Pick<Row, 'notes' | 'recoveryMs' | 'settledMs' | 'grownMegabytes'> & {
  findings: Findings;
  troubles: string[];
  deadLetters: number;
  inForce: Interval;
};

function judge(fault: Fault, { ledger }: RunningLoad, observed: Observed): Row {
  const { findings, troubles, deadLetters, notes, inForce, ...measured } = observed;
  const wrong = [...wrongAnswers(ledger, fault, inForce), ...troubles];
  if (deadLetters > 0) notes.push(`${deadLetters} dead letters`);
  if (fault.losesCommittedData) notes.push(...describeLoss(ledger));
  const mustBeEmpty = [findings.duplicated, findings.invented, wrong, fault.losesCommittedData ? [] : findings.lost];
  return {
    fault: fault.name,
    does: fault.does,
    acknowledged: ledger.operations.filter((operation) => operation.isAcknowledged).length,
    ...findings,
    ...measured,
    wrong,
    interruptions: ledger.interruptions.sentences(),
    worstRevocationMs: Math.max(0, ...ledger.lateAcceptances.map(({ afterMs }) => afterMs)),
    notes,
    skipped: null,
    isClean: mustBeEmpty.every((list) => list.length === 0),
    isIntact: !fault.destroys && troubles.length === 0 && deadLetters === 0,
  };
}

export function skippedRow({ name, does }: Fault, skipped: string): Row {
  return { ...emptyRow(name, does), skipped, isClean: true };
}

/** A row that could not be run to its end. */
export function failedRow({ name, does }: Fault, error: unknown): Row {
  const sentence = error instanceof Error ? error.message : String(error);
  return { ...emptyRow(name, does), wrong: [`the row ended early: ${sentence.trim().replaceAll(/\s+/g, ' ')}`] };
}

function emptyRow(fault: string, does: string): Row {
  const nothing = {
    acknowledged: 0,
    lost: [],
    duplicated: [],
    invented: [],
    wrong: [],
    interruptions: [],
    notes: [],
    skipped: null,
  };
  const measured = { worstRevocationMs: 0, recoveryMs: null, settledMs: 0, grownMegabytes: 0 };
  return { fault, does, ...nothing, ...measured, isClean: false, isIntact: false };
}
