let last = { second: 0, text: '' };

/** The current time as RFC 9110 section 5.6.7 writes it. Many responses within one second have the same. */
export function httpDate(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== last.second) last = { second, text: new Date(second * 1000).toUTCString() };
  return last.text;
}
