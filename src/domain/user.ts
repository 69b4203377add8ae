import type { Email } from './email.ts';

export type User = {
  id: string;
  email: Email;
  fullName: string;
  emailVerified: boolean;
  /** Sorted. */
  roles: string[];
  disabled: boolean;
  createdAt: Date;
};
