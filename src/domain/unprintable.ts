/** Characters that can make a line of a log or a terminal look like another one. */
export const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/u;
