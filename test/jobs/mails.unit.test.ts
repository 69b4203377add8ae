// The wording of e-mails to end users.
import { describe, expect, test } from 'vitest';
import { MAILS, type MailFacts } from '../../src/jobs/mails/mails.ts';

const FACTS: MailFacts = {
  publicUrl: 'https://product.example',
  token: 'lkx_token',
  tokenExpiresAt: new Date('2026-11-30T10:05:00Z'),
  happenedAt: new Date('2026-11-30T09:05:00Z'),
  provider: 'google',
  factorKind: 'totp' as const,
  factorKinds: ['totp' as const],
  codesLeft: 9,
  providers: ['google', 'acme'],
};

describe.each(Object.entries(MAILS))('the e-mail %s', (_, write) => {
  const { text, html } = write(FACTS);

  test('greets, and then has full sentences', () => {
    const [greeting, ...parts] = text.trimEnd().split('\n\n');
    expect(greeting).toBe('Hello,');
    for (const part of parts) expect(part).toMatch(/^[A-Z][\s\S]*([.:]|https:\/\/\S+)$/);
  });

  test('has links of the product only, with the token in the fragment', () => {
    for (const [link] of text.matchAll(/https?:\S+/g)) {
      expect(link).toMatch(/^https:\/\/product\.example(\/[a-z-]+#token=lkx_token)?$/);
    }
    expect(html.includes('#token=')).toBe(text.includes('#token='));
  });

  test('explains what to do if the owner did not expect it', () => {
    expect(text).toMatch(/not you|did not (expect|request)|not yours/);
  });

  test('has the same sentences as text and as HTML', () => {
    for (const part of text.trimEnd().split('\n\n').slice(0, 2)) {
      expect(html).toContain(part.split(':\n')[0]?.replaceAll("'", '&#39;'));
    }
  });
});

test.each(['password-reset', 'verify-email', 'confirm-network', 'confirm-email-change'] as const)(
  'the e-mail %s states how long its link is valid',
  (template) => {
    expect(MAILS[template](FACTS).text).toContain(
      'The link can be used once and is valid until 30 November 2026 at 10:05 UTC.',
    );
  },
);

test.each([
  'password-changed',
  'password-reset-done',
  'sign-in-method-added',
  'sign-in-method-removed',
  'wrong-codes',
  'email-change-requested',
  'email-changed',
  'email-change-undone',
  'account-deleted',
] as const)('the e-mail %s states when it happened', (template) => {
  expect(MAILS[template](FACTS).text).toContain('30 November 2026 at 09:05 UTC');
});

test('a known provider has its own name, another one the name in the configuration', () => {
  const added = (provider: string) => MAILS['sign-in-method-added']({ ...FACTS, provider }).text;
  expect(added('google')).toContain('A Google account can now be used to sign in to your account.');
  expect(added('acme')).toContain('An account at acme can now be used to sign in to your account.');
  expect(MAILS['password-reset-done'](FACTS).text).toContain('accounts at: Google, acme.');
});

test('text of a provider name cannot become HTML', () => {
  const { html } = MAILS['sign-in-method-added']({ ...FACTS, provider: '<b>"acme"</b>' });
  expect(html).not.toContain('<b>');
  expect(html).toContain('&#60;b&#62;&#34;acme');
});

test.each([
  ['new-account', 'An account was created for you'],
  ['password-void', 'its password was removed'],
] as const)('a reset because of %s explains why', (resetCause, words) => {
  expect(MAILS['password-reset']({ ...FACTS, resetCause }).text).toContain(words);
});

test('the notice of a recovery code is true for a sign-in and for a step-up', () => {
  const { text } = MAILS['recovery-code-used'](FACTS);
  expect(text).toContain(
    'A recovery code of your account was used on 30 November 2026 at 09:05 UTC. 9 unused codes are left.',
  );
  expect(text).not.toContain('sign in');
});

test('the notice of a removed factor covers a removal by an administrator', () => {
  expect(MAILS['factor-removed'](FACTS).text).toContain('or asked an administrator for it');
});
