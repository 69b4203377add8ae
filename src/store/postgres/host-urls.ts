// Several hosts in one URL, as libpq accepts them: postgres://user:password@a:5432,b:5432/name. Node and pg accept one.

/** The service uses only the primary. */
export const PRIMARY_ATTRIBUTES = ['read-write', 'primary'];

export function hostUrls(url: string): string[] {
  const [, before = '', hosts = '', after = ''] = /^([a-z]+:\/\/(?:[^@/?#]*@)?)([^/?#]*)(.*)$/is.exec(url) ?? [];
  return hosts.split(',').map((host) => before + host + after);
}

export function asksForPrimary(url: string): boolean {
  const asked = /[?&]target_session_attrs=([^&#]*)/.exec(url)?.[1];
  return asked === undefined || PRIMARY_ATTRIBUTES.includes(asked);
}

export function withoutSessionAttributes(url: string): string {
  return url.replace(/([?&])target_session_attrs=[^&#]*&?/g, '$1').replace(/[?&]$/, '');
}
