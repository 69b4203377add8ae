// Limits of mails to one mailbox and to one domain, for callers that use many spellings and networks.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SERVICE_KEY, startTestApp, type TestApp } from '../support/app.ts';
import { account, auth, type Caller, type Outcome, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, registered, type SignedIn, signedIn } from '../support/people.ts';
import { withTotp } from '../support/second-factors.ts';

/** The limits with their defaults. */
const LIMITS = {
  LIMIT_REGISTER_ACCOUNT: '5/3600',
  LIMIT_REQUEST_RESET_ACCOUNT: '3/3600',
  LIMIT_REQUEST_VERIFICATION_ACCOUNT: '3/3600',
  LIMIT_NOTICE_ACCOUNT: '10/3600',
};
let app: TestApp;
let call: Caller;

function from(address: string): Caller {
  const headers = { 'x-client-address': address };
  return (method, input) => call(method, input, { bearer: SERVICE_KEY, headers });
}

/** Each call comes from a network of its own, ten at a time. */
async function passed(times: number, attempt: (from: Caller, n: number) => Promise<Outcome>): Promise<number> {
  let count = 0;
  for (let n = 0; n < times; n += 10) {
    const each = Array.from({ length: 10 }, (_, k) => attempt(from(`10.0.${n + k}.1`), n + k));
    count += (await Promise.all(each)).filter(({ reason }) => reason !== 'RATE_LIMITED').length;
  }
  return count;
}

async function mailsTo(name: string): Promise<string[]> {
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
  return app.mailbox.mails.filter(({ to }) => to.startsWith(name)).map(({ to }) => to);
}

describe('where addresses must be verified', () => {
  beforeAll(async () => {
    app = await startTestApp({ ...LIMITS, REQUIRE_EMAIL_VERIFICATION: 'on' });
    call = viaFetch(app.url);
  });
  afterAll(() => app.close());

  test('120 sign-ups with tags of one mailbox send five mails', async () => {
    const email = (n: number) => `ada+${n}@mail.example`;
    expect(await passed(120, (one, n) => one(auth.register, { ...newPerson(), email: email(n) }))).toBe(5);
    expect(await mailsTo('ada')).toHaveLength(5);
  });

  test('120 requests of each kind with tags of one mailbox send three mails, and three to the address without a tag', async () => {
    const tags = ['grace', 'grace+1', 'grace+a+b', 'grace+'];
    for (const tag of tags) {
      expect((await call(auth.register, { ...newPerson(), email: `${tag}@mail.example` })).code).toBe('ok');
    }
    const sent = (await mailsTo('grace')).length;
    const email = (n: number) => `${n % 2 ? 'GRACE' : 'grace'}${tags[n % 4]?.slice(5)}@Mail.example`;
    expect(await passed(120, (one, n) => one(auth.requestEmailVerification, { email: email(n) }))).toBe(6);
    expect(await passed(120, (one, n) => one(auth.requestReset, { email: email(n) }))).toBe(6);
    expect((await mailsTo('grace')).length - sent).toBeLessThanOrEqual(12);
  });
});

describe('where addresses need not be verified', () => {
  beforeAll(async () => {
    app = await startTestApp({ ...LIMITS, LIMIT_MAIL_DOMAIN: '6/3600', LIMIT_CHANGE_EMAIL_USER: '1000/60' });
    call = viaFetch(app.url);
  });
  afterAll(() => app.close());

  test('addresses that differ by their tag are accounts of their own', async () => {
    const [one, two] = ['tag+1@mail.example', 'tag+2@mail.example'];
    const first = await registered(call, { ...newPerson(), email: one });
    const second = await registered(call, { ...newPerson(), email: two });
    expect((await call(auth.register, { ...newPerson(), email: one })).reason).toBe('EMAIL_TAKEN');
    expect((await call(auth.login, { email: two, password: first.password })).reason).toBe('CREDENTIALS_INVALID');
    expect((await call(auth.login, { email: 'tag@mail.example', password: first.password })).reason).toBe(
      'CREDENTIALS_INVALID',
    );
    await signedIn(call, first);
    await signedIn(call, second);
  });

  test('the address without a tag is not affected, nor another mailbox', async () => {
    const ask = (email: string) => from('192.0.2.1')(auth.requestReset, { email });
    for (let n = 0; n < 3; n += 1) expect((await ask(`first+${n}@two.example`)).code).toBe('ok');
    expect((await ask('first+3@two.example')).reason).toBe('RATE_LIMITED');
    expect((await ask('first@two.example')).code).toBe('ok');
    expect((await ask('second+0@two.example')).code).toBe('ok');
  });

  test('ChangeEmail to tags of one mailbox sends three mails, and three without a tag, for all callers together', async () => {
    let sent = 0;
    for (let n = 0; n < 4; n += 1) {
      const { accessToken, password: currentPassword } = await signedIn(call);
      for (const tag of ['', '+a', `+${n}`]) {
        const change = { newEmail: `target${tag}@target.example`, currentPassword };
        const { code } = await call(account.changeEmail, change, { bearer: accessToken });
        if (code === 'ok') sent += 1;
      }
    }
    expect(sent).toBe(6);
    expect(await mailsTo('target')).toHaveLength(6);
  });

  /** Returns the number of changes that succeeded. */
  async function changePassword(person: SignedIn, times: number): Promise<number> {
    let changed = 0;
    for (let n = 0; n < times; n += 1) {
      const [currentPassword, newPassword] = [person.password, `${person.userId} by evening ${n}`];
      const change = { currentPassword, newPassword };
      const { code, body } = await call(account.changePassword, change, { bearer: person.accessToken });
      if (code !== 'ok') continue;
      person.password = newPassword;
      person.accessToken = body.tokens.accessToken;
      changed += 1;
    }
    return changed;
  }

  test('passwords of accounts on tags of one unverified mailbox change ten times an hour, with a notice each', async () => {
    const people: SignedIn[] = [];
    for (let n = 0; n < 4; n += 1) {
      people.push(await signedIn(call, await registered(call, { ...newPerson(), email: `notice+${n}@mail.example` })));
    }
    let changed = 0;
    for (const person of people) changed += await changePassword(person, 4);
    expect(changed).toBe(10);
    expect(await mailsTo('notice')).toHaveLength(10);
    // Accounts of others do not use up the limit of an owner who has verified the address.
    const owner = people[3] as SignedIn;
    await app.owner.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [owner.userId]);
    expect(await changePassword(await signedIn(call, owner), 1)).toBe(1);
  });

  test('factors of an account with an unverified address cause ten notices an hour', async () => {
    const person = { ...newPerson(), email: 'factors@mail.example' };
    const owner = await withTotp(app, call, await signedIn(call, await registered(call, person)));
    const reasons: (string | undefined)[] = [];
    for (let n = 0; n < 12; n += 1) {
      reasons.push((await call(account.regenerateRecoveryCodes, {}, { bearer: owner.accessToken })).reason);
    }
    const { factorId } = owner;
    reasons.push((await call(account.removeFactor, { factorId }, { bearer: owner.accessToken })).reason);
    expect(reasons).toEqual([...Array(9).fill(undefined), ...Array(4).fill('RATE_LIMITED')]);
    expect(await mailsTo('factors')).toHaveLength(10);
  });

  test('e-mails from one network to one domain are counted together, for every mailbox, kind and address of the network', async () => {
    const ask = (address: string, domain: string) =>
      from(address)(auth.requestReset, { email: `${newPerson().email.split('@')[0]}@${domain}` });
    for (let n = 0; n < 6; n += 1) expect((await ask(`203.0.113.${n}`, 'company.example')).code).toBe('ok');
    expect((await ask('203.0.113.77', 'COMPANY.example')).reason).toBe('RATE_LIMITED');
    const verification = { email: 'new@company.example' };
    expect((await from('203.0.113.78')(auth.requestEmailVerification, verification)).reason).toBe('RATE_LIMITED');
    expect((await ask('203.0.113.77', 'other.example')).code).toBe('ok');
    expect((await ask('198.51.100.1', 'company.example')).code).toBe('ok');
  });
});
