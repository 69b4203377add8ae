import { createGitHubProvider, type GitHubOptions } from './github-provider.ts';
import { createOpenIdProvider, type OpenIdOptions } from './openid-provider.ts';
import type { Providers, RedirectUris } from './provider.ts';

export type ProviderSettings = RedirectUris &
  (({ kind: 'openid' } & OpenIdOptions) | ({ kind: 'github' } & GitHubOptions));

export function createProviders(settings: Map<string, ProviderSettings>, clockAheadMs: () => number): Providers {
  return new Map(
    [...settings].map(([name, setting]) => {
      const provider =
        setting.kind === 'github' ? createGitHubProvider(setting) : createOpenIdProvider(setting, clockAheadMs);
      const issuer = setting.kind === 'github' ? setting.url : setting.issuer;
      return [name, { ...provider, issuer, redirectUris: setting.redirectUris }];
    }),
  );
}
