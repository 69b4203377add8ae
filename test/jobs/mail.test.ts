import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { type Person, registered } from '../support/people.ts';
import { run } from '../support/processes.ts';
import { type StubbornSmtp, startStubbornSmtp } from '../support/smtp.ts';

let app: TestApp;
let smtp: StubbornSmtp;
let call: Caller;
/** The number of temporary or permanent rejections for each address, with their code. */
const rejections = new Map<string, { code: number; times: number }>();

/** The number of times that the server accepts a mail for an address and reports a failure. */
const lostAnswers = new Map<string, number>();

beforeAll(async () => {
  const answer = (address: string, times: number) => {
    const rejection = rejections.get(address);
    return rejection && times <= rejection.times ? rejection.code : 250;
  };
  smtp = await startStubbornSmtp(answer, (address, times) => times <= (lostAnswers.get(address) ?? 0));
  app = await startTestApp({ SMTP_URL: smtp.url, MAIL_RETRY_FOR_SECONDS: '2', JOB_BACKOFF_MS: '300' });
  call = viaFetch(app.url);
});
afterAll(async () => {
  await app.close();
  await smtp.close();
});

async function requestReset(rejection?: { code: number; times: number }): Promise<Person> {
  const person = await registered(call);
  if (rejection) rejections.set(person.email, rejection);
  await call(auth.requestReset, { email: person.email });
  return person;
}

const deliveredTo = (person: Person) => smtp.delivered.filter(({ to }) => to === person.email);
const askedFor = (person: Person) => smtp.asked.filter((address) => address === person.email).length;
const deadFor = async (person: Person) => {
  const { rows } = await app.owner.query(
    "SELECT id, attempts, last_error FROM outbox WHERE dead_at IS NOT NULL AND payload ->> 'email' = $1",
    [person.email],
  );
  return rows[0] as { id: string; attempts: number; last_error: string } | undefined;
};

describe('a mail', () => {
  test('that is rejected temporarily is retried until it is sent', async () => {
    const person = await requestReset({ code: 451, times: 2 });
    await eventually(() => deliveredTo(person).length === 1);
    expect(askedFor(person)).toBe(3);
    expect(await deadFor(person)).toBeUndefined();
  });

  test('that is rejected every time becomes a dead letter with the reason', async () => {
    const person = await requestReset({ code: 451, times: 99 });
    const dead = await eventually(() => deadFor(person));
    expect(askedFor(person)).toBeGreaterThan(2);
    expect(dead.attempts).toBe(askedFor(person));
    expect(dead.last_error).toContain('451');
  });

  test('that is rejected permanently is not retried', async () => {
    const person = await requestReset({ code: 550, times: 99 });
    const dead = await eventually(() => deadFor(person));
    expect(askedFor(person)).toBe(1);
    expect(dead.last_error).toContain('550');
  });

  test('that the server has accepted is not sent again', async () => {
    const person = await requestReset({ code: 451, times: 1 });
    const [mail] = await eventually(() => (deliveredTo(person).length > 0 ? deliveredTo(person) : null));
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(deliveredTo(person)).toHaveLength(1);
    expect(mail?.messageId).toMatch(/^<[0-9a-f-]{36}@product\.example>$/);
  });
});

test('a mail whose response was lost is sent again with the same id and the same link, at growing intervals', async () => {
  const person = await registered(call);
  lostAnswers.set(person.email, 2);
  await call(auth.requestReset, { email: person.email });
  const mails = await eventually(() => (deliveredTo(person).length === 3 ? deliveredTo(person) : null));
  expect(new Set(mails.map(({ messageId }) => messageId)).size).toBe(1);
  expect(new Set(mails.map(({ link }) => link)).size).toBe(1);
  const [first = 0, second = 0, third = 0] = mails.map(({ at }) => at);
  expect(third - second).toBeGreaterThan(second - first);
});

test('an operator can list dead letters and retry them', async () => {
  const person = await requestReset({ code: 550, times: 1 });
  const dead = await eventually(() => deadFor(person));
  const outbox = (...args: string[]) =>
    run(process.execPath, ['src/main.ts', 'outbox', ...args], { DATABASE_URL: app.environment.DATABASE_URL });

  const list = outbox();
  expect(await list.ended).toBe(0);
  expect(list.output()).toContain(dead.id);
  expect(list.output()).toMatch(/rejected permanently \(EENVELOPE: 550 /);

  const retry = outbox('retry', dead.id);
  expect(await retry.ended).toBe(0);
  await eventually(() => deliveredTo(person).length === 1);
  expect(await deadFor(person)).toBeUndefined();
  const again = outbox('retry', dead.id);
  expect(await again.ended).toBe(1);
  expect(again.output()).toContain('is not in the outbox');
});

test('the log contains only ids and codes of a mail', () => {
  const log = app.logs.join('');
  expect(log).toContain('dead letter');
  expect(log).toContain('"response_code":"550"');
  expect(log).not.toContain('@people.example');
});
