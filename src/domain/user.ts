import type { Email } from './email.ts';

/** An account as its owner sees it. */
export type User = {
  id: string;
  email: Email;
  fullName: string;
  emailVerified: boolean;
  /** Sorted. */
  roles: string[];
  createdAt: Date;
};
