// Deliberate bugs. The harness must find each one in a certain column.
import { randomUUID } from 'node:crypto';
import type { FaultContext } from './fault.ts';
import { startLyingProxy } from './lying-proxy.ts';
import { GRANTED_ROLE } from './people.ts';
import type { Row } from './row.ts';

export type Sabotage = {
  name: string;
  column: 'lost' | 'duplicated' | 'invented' | 'wrong';
  /** Matches one of the sentences in the column. */
  finding: RegExp;
  commit(context: FaultContext): Promise<void>;
};

/** A database trigger that damages some rows. */
function trigger(name: string, when: string, body: string): Sabotage['commit'] {
  return async ({ deployment }) => {
    const { primary } = deployment.postgres;
    await primary.query(
      `CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} RETURN NEW; END $$`,
    );
    await primary.query(`CREATE TRIGGER ${name} ${when} FOR EACH ROW EXECUTE FUNCTION ${name}()`);
  };
}

async function changeTrail({ deployment }: FaultContext): Promise<void> {
  const last = 'SELECT max(seq) FROM audit_events';
  await deployment.postgres.primary.query(`UPDATE audit_events SET detail = 'changed' WHERE seq = (${last})`);
}

async function inventEvent({ deployment }: FaultContext): Promise<void> {
  const origin = { address: '', userAgent: '', requestId: randomUUID() };
  await deployment.postgres.primary.query(
    "INSERT INTO outbox (id, topic, payload, created_at) VALUES (gen_random_uuid(), 'audit', $1, now())",
    [JSON.stringify({ type: 'logged_out', userId: randomUUID(), origin })],
  );
}

async function inventMail({ deployment }: FaultContext): Promise<void> {
  const messageId = `<${randomUUID()}@product.example>`;
  deployment.mailSink.mails.push({ to: 'a-stranger@people.example', subject: 'Set a new password', messageId });
}

async function acceptForEver({ deployment, afterwards }: FaultContext): Promise<void> {
  const { front } = deployment.servers[1];
  const proxy = await startLyingProxy(front.target);
  afterwards(() => proxy.close());
  front.target = proxy.port;
  front.cutAll();
}

export const SABOTAGES: Sabotage[] = [
  {
    name: 'one in twenty outbox rows is dropped',
    column: 'lost',
    finding: /no event/,
    commit: trigger('drops_effects', 'BEFORE INSERT ON outbox', 'IF random() < 0.05 THEN RETURN NULL; END IF;'),
  },
  {
    name: 'a role that was granted is not stored',
    column: 'lost',
    finding: /does not hold the role/,
    commit: trigger(
      'drops_roles',
      'BEFORE INSERT ON user_roles',
      `IF NEW.role = '${GRANTED_ROLE}' THEN RETURN NULL; END IF;`,
    ),
  },
  {
    name: 'one in five effects is ordered twice (an event)',
    column: 'duplicated',
    finding: /events .* of one request/,
    commit: trigger(
      'doubles_effects',
      'AFTER INSERT ON outbox',
      `IF pg_trigger_depth() = 1 AND random() < 0.2 THEN
        INSERT INTO outbox (id, topic, payload, created_at) VALUES (gen_random_uuid(), NEW.topic, NEW.payload, NEW.created_at);
      END IF;`,
    ),
  },
  {
    name: 'every mail is ordered twice',
    column: 'duplicated',
    finding: /mails with different Message-IDs/,
    commit: trigger(
      'doubles_mails',
      'AFTER INSERT ON outbox',
      `IF pg_trigger_depth() = 1 AND NEW.topic = 'mail' THEN
        INSERT INTO outbox (id, topic, payload, created_at) VALUES (gen_random_uuid(), NEW.topic, NEW.payload, NEW.created_at);
      END IF;`,
    ),
  },
  {
    name: 'an event is recorded that no call has caused',
    column: 'invented',
    finding: /event logged_out/,
    commit: inventEvent,
  },
  {
    name: 'a mail arrives that no call has ordered',
    column: 'invented',
    finding: /without an order/,
    commit: inventMail,
  },
  {
    name: 'a server accepts revoked tokens',
    column: 'wrong',
    finding: /serve-2 accepted a revoked token/,
    commit: acceptForEver,
  },
  { name: 'an event in the trail is changed', column: 'wrong', finding: /was changed/, commit: changeTrail },
  {
    name: 'some sessions end while they are used',
    column: 'wrong',
    finding: /SESSION_ENDED|TOKEN_REVOKED/,
    commit: trigger(
      'ends_sessions',
      'BEFORE UPDATE ON sessions',
      'IF NEW.counter > OLD.counter AND random() < 0.2 THEN NEW.ended_at := now(); END IF;',
    ),
  },
  {
    name: 'some calls fail with an error of the service',
    column: 'wrong',
    finding: /INTERNAL/,
    commit: trigger('fails', 'BEFORE INSERT ON users', "IF random() < 0.2 THEN RAISE EXCEPTION 'a bug'; END IF;"),
  },
];

/** The sentence for a sabotage that the row did not find, or null. */
export function whyUnnoticed(row: Row, { name, column, finding }: Sabotage): string | null {
  if (row[column].some((sentence) => finding.test(sentence))) return null;
  return `"${name}" was not found in the column "${column}": ${row[column].join('; ') || 'it is empty'}`;
}
