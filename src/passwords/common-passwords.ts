import { dictionary } from '@zxcvbn-ts/language-common';

const common = new Set<string>(dictionary['passwords-common']);

/** Whether a password, in lower case, is among the some fifty thousand that everyone tries first. */
export function isCommonPassword(lowerCase: string): boolean {
  return common.has(lowerCase);
}
