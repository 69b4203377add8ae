// Each search walks one index in the order of its result, and examines a bounded number of its entries. So it takes the
// same time however many users exist. `npm run bench:scale` measures that.
import { type RawBuilder, sql } from 'kysely';
import type { Db } from './postgres/database.ts';

/** An empty or null field matches every user. */
export type UserFilter = { emailPrefix: string; role: string; disabled: boolean | null };

/** `next` is the key after which the next page begins: an email when the filter has a prefix, otherwise an id. */
export type UserIdPage = { ids: string[]; next: string | null };

type SearchedPage = { after: string; size: number; at: Date };

/** Holders and users that one page examines. A page can therefore be short. */
const EXAMINED = 2_000;

/** By email when the filter has a prefix, otherwise by id. @param page `after` is `next` of the page before, or empty */
export async function searchUserIds(db: Db, filter: UserFilter, page: SearchedPage): Promise<UserIdPage> {
  const key = filter.emailPrefix === '' ? sql`id` : sql`email`;
  const examined = filter.role === '' && filter.disabled !== false ? page.size + 1 : EXAMINED;
  const candidates = await candidatesOf(db, filter, page);
  // OFFSET 0 keeps the planner from a join of whole tables, whose cost grows with them.
  const { rows } = await sql<{ reached: string | null; id: string | null; key: string }>`
    WITH candidates AS MATERIALIZED (${candidates} ORDER BY key LIMIT ${examined})
    SELECT (SELECT key::text FROM candidates ORDER BY key OFFSET ${examined - 1} LIMIT 1) AS reached, found.*
    FROM (SELECT) AS one LEFT JOIN (
      SELECT matching.id, candidates.key::text AS key FROM candidates CROSS JOIN LATERAL (
        SELECT id FROM users WHERE ${key} = candidates.key AND ${matches(filter, page.at)} OFFSET 0
      ) AS matching ORDER BY candidates.key LIMIT ${page.size + 1}
    ) AS found ON true
    ORDER BY found.key COLLATE "C"
  `.execute(db);
  const found = rows.flatMap(({ id, key: place }) => (id === null ? [] : [{ id, place }]));
  const ids = found.slice(0, page.size).map(({ id }) => id);
  const next = found.length > page.size ? found[page.size - 1]?.place : rows[0]?.reached;
  return { ids, next: next ?? null };
}

/** The entries of the index to walk, each with its `key`. */
async function candidatesOf(db: Db, filter: UserFilter, page: SearchedPage): Promise<RawBuilder<unknown>> {
  const { emailPrefix, role, disabled } = filter;
  const hasOtherIndex = emailPrefix !== '' || disabled === true;
  if (role !== '' && (!hasOtherIndex || (await hasFewHolders(db, role)))) {
    if (emailPrefix === '') return holdersAfter(role, page.after);
    return sql`
      SELECT email AS key FROM (${holdersAfter(role, '')}) AS holders
      CROSS JOIN LATERAL (SELECT email FROM users WHERE id = holders.key OFFSET 0) AS holder
      WHERE ${isInPrefix(emailPrefix, page.after)}`;
  }
  const isDisabled = disabled === true ? sql`disabled_at IS NOT NULL` : sql`true`;
  if (emailPrefix === '')
    return sql`SELECT id AS key FROM users WHERE ${isAfter(sql`id`, page.after)} AND ${isDisabled}`;
  return sql`SELECT email AS key FROM users WHERE ${isInPrefix(emailPrefix, page.after)} AND ${isDisabled}`;
}

async function hasFewHolders(db: Db, role: string): Promise<boolean> {
  const { rows } = await sql<{ holders: number }>`
    SELECT count(*)::int AS holders FROM (${holdersAfter(role, '')} LIMIT ${EXAMINED}) AS holders
  `.execute(db);
  return (rows[0]?.holders ?? 0) < EXAMINED;
}

/** Includes grants that have expired. A user holds a role also by roles that imply it. */
function holdersAfter(role: string, after: string): RawBuilder<unknown> {
  return sql`
    SELECT DISTINCT user_id AS key FROM role_closure CROSS JOIN LATERAL (
      SELECT user_id FROM user_roles WHERE user_roles.role = role_closure.role AND ${isAfter(sql`user_id`, after)}
      ORDER BY user_id LIMIT ${EXAMINED}
    ) AS holder WHERE implied = ${role}`;
}

function isAfter(key: RawBuilder<unknown>, after: string): RawBuilder<boolean> {
  return after === '' ? sql`true` : sql`${key} > ${after}`;
}

function isInPrefix(prefix: string, after: string): RawBuilder<boolean> {
  return sql`starts_with(email, ${prefix}) AND ${isAfter(sql`email`, after)}`;
}

function matches({ role, disabled }: UserFilter, at: Date): RawBuilder<boolean> {
  const conditions = [
    ...(role === ''
      ? []
      : [
          sql`EXISTS (SELECT FROM user_roles JOIN role_closure USING (role)
            WHERE user_id = users.id AND implied = ${role} AND (expires_at IS NULL OR expires_at > ${at}))`,
        ]),
    ...(disabled === null ? [] : [disabled ? sql`disabled_at IS NOT NULL` : sql`disabled_at IS NULL`]),
  ];
  return conditions.length === 0 ? sql`true` : sql`${sql.join(conditions, sql` AND `)}`;
}
