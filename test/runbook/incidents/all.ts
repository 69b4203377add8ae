import type { Incidents } from '../incident.ts';
import { AUDIT_INCIDENTS } from './audit.ts';
import { MAIL_INCIDENTS } from './mail.ts';
import { POSTGRES_INCIDENTS } from './postgres.ts';
import { PROCESS_INCIDENTS } from './processes.ts';
import { SIGN_IN_INCIDENTS } from './sign-in.ts';
import { STOLEN_INCIDENTS } from './stolen.ts';
import { TIME_INCIDENTS } from './time.ts';

export const INCIDENTS: Incidents = {
  ...PROCESS_INCIDENTS,
  ...SIGN_IN_INCIDENTS,
  ...MAIL_INCIDENTS,
  ...TIME_INCIDENTS,
  ...POSTGRES_INCIDENTS,
  ...STOLEN_INCIDENTS,
  ...AUDIT_INCIDENTS,
};
