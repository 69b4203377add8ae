export type ReceivedMail = {
  /** Counts from 1. */
  number: number;
  receivedAt: Date;
  to: string;
  subject: string;
  messageId: string;
  text: string;
  html: string;
  /** The first link in the text, if there is one. */
  link: string | null;
};
