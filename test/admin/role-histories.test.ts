// 100,000 random histories of roles, compared with an oracle without closures. The oracle reads the definitions anew for
// each check. The histories run in Postgres with its triggers, and CheckRole returns the decisions.
import fc from 'fast-check';
import pg from 'pg';
import { v7 } from 'uuid';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { batchCheckRole } from '../../src/auth/batch-check-role.ts';
import { openDatabase } from '../../src/store/postgres/database.ts';
import { createStore, type Store } from '../../src/store/store.ts';
import { createTestDatabase } from '../support/databases.ts';

const ROLES = ['user', 'a', 'b', 'c', 'd', 'e'];
const GRAPHS = 100;
const PEOPLE = 1_000;

type Event =
  | { kind: 'grant'; role: string; expiresAt: number | null }
  | { kind: 'revoke'; role: string }
  | { kind: 'disable' }
  | { kind: 'enable' };
type History = Event[];
type Edge = [role: string, implies: string];

/** The expected state after the steps so far. */
function oracle(history: History, edges: Edge[], role: string, at: number): string {
  const held = new Map<string, number | null>([['user', null]]);
  let isDisabled = false;
  for (const event of history) {
    if (event.kind === 'grant') held.set(event.role, event.expiresAt);
    else if (event.kind === 'revoke') held.delete(event.role);
    else isDisabled = event.kind === 'disable';
  }
  if (isDisabled) return 'USER_DISABLED';
  const reaches = (from: string, steps: number): boolean =>
    from === role || (steps > 0 && edges.some(([one, next]) => one === from && reaches(next, steps - 1)));
  for (const [one, end] of held) if ((end === null || end > at) && reaches(one, ROLES.length)) return 'yes';
  return 'ROLE_NOT_GRANTED';
}

const role = fc.constantFrom(...ROLES);
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('grant' as const), role, expiresAt: fc.option(fc.nat(100)) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('revoke' as const), role }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'disable' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'enable' as const }) },
);
const history = fc.array(event, { maxLength: 6 });
/** A role may imply only earlier roles of the list, so there are no circles. */
const edges = fc.subarray(ROLES.flatMap((one, n) => ROLES.slice(0, n).map((other): Edge => [one, other])));

let owner: pg.Client;
let store: Store;
let at = 0;
let close: () => Promise<void>;
beforeAll(async () => {
  const database = await createTestDatabase();
  owner = new pg.Client({ connectionString: database.ownerUrl });
  await owner.connect();
  const db = openDatabase({ url: database.serviceUrl, poolSize: 2, statementTimeoutMs: 30_000 }, () => {});
  store = createStore(db, v7, () => new Date(at));
  close = () => db.destroy();
  await owner.query(`INSERT INTO roles (name, description) SELECT unnest($1::text[]), '' ON CONFLICT DO NOTHING`, [
    ROLES,
  ]);
});
afterAll(async () => {
  await close();
  await owner.end();
});

/** All histories at once, event by event: the first of each, then the second. */
async function live(ids: string[], histories: History[]): Promise<void> {
  await owner.query(
    "INSERT INTO users (id, email, full_name, created_at) SELECT id, id || '@x.example', 'x', now() FROM unnest($1::uuid[]) AS id",
    [ids],
  );
  await owner.query("INSERT INTO user_roles SELECT id, 'user', now() FROM unnest($1::uuid[]) AS id", [ids]);
  for (let step = 0; step < 6; step += 1) {
    const now = histories.flatMap((one, n) => {
      const event = one[step];
      return event ? [{ id: ids[n], ...event }] : [];
    });
    const of = (kind: Event['kind']) => JSON.stringify(now.filter((one) => one.kind === kind));
    await owner.query(
      `INSERT INTO user_roles (user_id, role, granted_at, expires_at)
        SELECT id, role, now(), to_timestamp("expiresAt") FROM jsonb_to_recordset($1) AS x (id uuid, role text, "expiresAt" int)
        ON CONFLICT (user_id, role) DO UPDATE SET expires_at = excluded.expires_at`,
      [of('grant')],
    );
    await owner.query(
      `DELETE FROM user_roles USING jsonb_to_recordset($1) AS x (id uuid, role text)
        WHERE user_id = x.id AND user_roles.role = x.role`,
      [of('revoke')],
    );
    for (const [kind, time] of [
      ['disable', 'now()'],
      ['enable', 'NULL'],
    ] as const) {
      await owner.query(
        `UPDATE users SET disabled_at = ${time} FROM jsonb_to_recordset($1) AS x (id uuid) WHERE users.id = x.id`,
        [of(kind)],
      );
    }
  }
}

test(`CheckRole and the oracle agree about ${GRAPHS * PEOPLE} histories`, async () => {
  const call = { origin: { address: '', userAgent: '', requestId: '' }, signal: new AbortController().signal };
  const deps = {
    store,
    verifier: { judgeAll: async () => [] } as never,
    now: () => new Date(),
    denials: { isRecorded: () => true, record: async () => {} },
    roleReads: { record: () => {}, close: async () => {} },
    serviceKeys: { nameOf: () => null, use: () => null, uses: () => [] },
    apiKeys: { lookUp: async () => null },
    tokenSettings: { audiences: [] },
  };
  let asked = 0;
  const property = fc.asyncProperty(
    edges,
    fc.array(history, { minLength: PEOPLE, maxLength: PEOPLE }),
    async (graph, lives) => {
      // Some histories end before a role implies another one, and some after.
      const ids = lives.map(() => v7());
      const half = Math.floor(lives.length / 2);
      await live(ids.slice(0, half), lives.slice(0, half));
      await owner.query('DELETE FROM role_implications');
      await owner.query(
        'INSERT INTO role_implications SELECT role, implies FROM jsonb_to_recordset($1) AS x (role text, implies text)',
        [JSON.stringify(graph.map(([one, implies]) => ({ role: one, implies })))],
      );
      await live(ids.slice(half), lives.slice(half));
      at = 50_000 + (asked % 7) * 1_000;
      const checks = ids.map((userId, n) => ({ userId, role: ROLES[(asked + n) % ROLES.length] as string }));
      const answers = await batchCheckRole(
        deps,
        { checks, reader: { name: 'service:test', key: null }, acceptApiKeys: false, acr: '', maxAge: 0 },
        call,
      );
      for (const [n, answer] of answers.entries()) {
        const said = answer.allowed ? 'yes' : answer.reason;
        const expected = oracle(lives[n] as History, graph, checks[n]?.role as string, at / 1000);
        if (said !== expected)
          expect({ said, history: lives[n], graph, check: checks[n], at }).toEqual({ said: expected });
      }
      asked += answers.length;
    },
  );
  await fc.assert(property, { numRuns: GRAPHS, endOnFailure: true });
  expect(asked).toBe(GRAPHS * PEOPLE);
}, 300_000);
