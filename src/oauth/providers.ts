import { createGitHubProvider, type GitHubOptions } from './github-provider.ts';
import { createOpenIdProvider, type OpenIdOptions } from './openid-provider.ts';
import type { Providers, RedirectUris } from './provider.ts';

export type ProviderSettings = RedirectUris &
  (({ kind: 'openid' } & OpenIdOptions) | ({ kind: 'github' } & GitHubOptions));

/** @param settings by name */
export function createProviders(settings: Map<string, ProviderSettings>): Providers {
  return new Map(
    [...settings].map(([name, one]) => {
      const provider = one.kind === 'github' ? createGitHubProvider(one) : createOpenIdProvider(one);
      return [name, { ...provider, redirectUris: one.redirectUris }];
    }),
  );
}
