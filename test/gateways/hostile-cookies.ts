// Cookie headers that carry Latchkey's cookies in many forms, and the cookies that the service may receive.

export type CookieCase = {
  lines: string[];
  /** Null where the service may receive any cookies but Latchkey's. */
  kept: string | null;
};

const MANY = 1_000;

/** @param session such as `__Host-latchkey-session=lks_...` @param refresh the refresh cookie */
export function cookieCases(session: string, refresh: string): CookieCase[] {
  const [name, value] = session.split('=') as [string, string];
  const many = Array.from({ length: MANY }, (_, n) => `c${n.toString(36)}=1`);
  const plain: CookieCase[] = [
    { lines: [`cookie: ${session}`], kept: '' },
    { lines: [`cookie: theme=dark; ${session}; cart=7`], kept: 'theme=dark; cart=7' },
    { lines: [`cookie: ${session}; theme=dark`], kept: 'theme=dark' },
    { lines: [`COOKIE: theme=dark; ${refresh}; ${session}`], kept: 'theme=dark' },
    { lines: [`cookie: x${name}=1; ${name}s=2; ${session}; latchkey=3`], kept: `x${name}=1; ${name}s=2; latchkey=3` },
  ];
  const odd = [
    ['cookie: theme=dark', `cookie: ${session}`, 'cookie: cart=7'],
    [`cookie: ${session}`, 'cookie: cart=7'],
    [`cookie: ${session}`, `cookie: ${refresh}`],
    [`cookie: ${session};${session}`],
    [`cookie: theme=dark;${session};${session};${refresh};${refresh};${session}`],
    [`cookie: ${session}`, `cookie: ${session}`],
    [`cookie: ${name}="${value}"; theme=dark`],
    [`cookie: a="; ${session}; b="`],
    [`cookie:   ${session}  ;  theme=dark`],
    [`cookie: ;;${session};;`],
    [`cookie: ${name} =${value}; theme=dark`],
    [`cookie: theme=dark;\t${session}`],
    [`cookie: ${name}=; ${session}`],
    [`cookie: $Version=1; ${session}; $Path=/`],
    [`cookie: ${session}==; x=y`],
    [`cookie: ${[...many, session].join(';')}`],
    [`cookie: ${[session, ...many].join(';')}`],
    [`cookie: ${[...many.slice(0, 999), session].join(';')}`],
    [...many.slice(0, 50).map((pair) => `cookie: ${pair}`), `cookie: ${session}`],
  ];
  return [...plain, ...odd.map((lines) => ({ lines, kept: null }))];
}
