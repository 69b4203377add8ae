import { describe, expect, test } from 'vitest';
import { answerOf, describe as describeFailure, isPermanent, withoutAddresses } from '../../src/jobs/smtp-answer.ts';

/** As nodemailer reports it. */
function rejection(command: string, response: string): Error {
  return Object.assign(new Error(response), { command, response, responseCode: Number(response.slice(0, 3)) });
}

describe('an answer is permanent', () => {
  test.each([
    ['RCPT TO', '550 5.1.1 no such user'],
    ['RCPT TO', '550-5.1.1 no such user\n550 5.1.1 at all'],
    ['RCPT TO', '550 no such user'],
    ['RCPT TO', '553 5.1.3 bad address syntax'],
    ['DATA', '554 5.6.0 invalid message'],
    ['DATA', '552 5.2.3 message exceeds the limit of this mailbox'],
    ['DATA', '552 5.3.4 message exceeds the limit of this server'],
    ['DATA', '554 transaction failed'],
  ])('after %s: %s', (command, response) => {
    expect(isPermanent(rejection(command, response))).toBe(true);
  });
});

describe('a mail may be accepted later', () => {
  test.each([
    ['RCPT TO', '450 4.2.0 greylisted'],
    ['RCPT TO', '421 4.7.0 too many connections'],
    ['DATA', '451 4.3.0 try again later'],
    // The mailbox is full, or over its rate or its quota.
    ['RCPT TO', '552 5.2.2 mailbox full'],
    ['RCPT TO', '552 exceeded storage allocation'],
    ['RCPT TO', '550-5.2.1 this user receives mail at a rate that prevents more'],
    ['DATA', '554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException'],
    // Configuration: the sender, the login, the right to relay.
    ['MAIL FROM', '550 5.1.0 no such sender'],
    ['MAIL FROM', '530 5.7.0 authentication required'],
    ['RCPT TO', '530 authentication required'],
    ['RCPT TO', '554 5.7.1 relay access denied'],
    ['RCPT TO', '550 5.1.8 the domain of the sender does not exist'],
    ['AUTH PLAIN', '535 5.7.8 bad credentials'],
    // The state of the session.
    ['DATA', '503 5.5.1 bad sequence of commands'],
    ['CONN', '554 5.3.2 no service here'],
  ])('after %s: %s', (command, response) => {
    expect(isPermanent(rejection(command, response))).toBe(false);
  });

  test('after a failure without an answer', () => {
    expect(isPermanent(Object.assign(new Error('Timeout'), { code: 'ETIMEDOUT', command: 'CONN' }))).toBe(false);
    expect(isPermanent(new TypeError('x'))).toBe(false);
  });
});

test('an SMTP answer is recorded on one line, shortened, without addresses and without tokens', () => {
  expect(withoutAddresses('250 2.1.5 <ada+x@people.example>: queued as 4Yk2')).toBe('250 2.1.5 <***>: queued as 4Yk2');
  expect(withoutAddresses('550-5.1.1 one\n550 5.1.1 "ada lovelace"@people.example\u001b[2J')).not.toMatch(/@|\p{C}/u);
  expect(withoutAddresses('550 ada@bücher.example ist voll')).toBe('550 *** ist voll');
  expect(withoutAddresses('x'.repeat(1000))).toHaveLength(200);
  const quoted = '554 5.7.1 listed: https://product.example/reset-password#token=lkp_abc-def lkp_abc-def';
  expect(withoutAddresses(quoted)).toBe('554 5.7.1 listed: https://product.example/reset-password#*** ***');
  expect(describeFailure(rejection('DATA', quoted))).not.toContain('abc-def');
  const cause = rejection('RCPT TO', '550 5.1.1 <ada@people.example> unknown');
  expect(answerOf(new Error('rejected', { cause }))).toEqual({
    command: 'RCPT TO',
    answer: '550 5.1.1 <***> unknown',
  });
  expect(answerOf(new Error('Timeout'))).toBeNull();
});
