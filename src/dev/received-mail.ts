export type ReceivedMail = {
  number: number;
  receivedAt: Date;
  to: string;
  subject: string;
  messageId: string;
  text: string;
  html: string;
  link: string | null;
};
