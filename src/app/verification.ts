import { waitAtMost } from '../async/wait-at-most.ts';
import { followRevocationEvents } from '../revocation-feed/revocation-feed.ts';
import { listenForNotifications } from '../store/postgres/listen.ts';
import { createRevocationEvents } from '../store/revocation-events.ts';
import { readRevocationStatuses } from '../store/revocation-statuses.ts';
import { createVerifier } from '../verifier/verifier.ts';
import { type Base, FORCED_CLOSE_MS } from './base.ts';

export async function startVerification(base: Base, started: AsyncDisposableStack) {
  const { config, warnRarely, metrics, connect, db, guard, signingKeys, view, now } = base;
  metrics.watchView(view);
  const verifier = createVerifier({
    issuer: config.tokens.issuer,
    keys: signingKeys.verificationKeys(),
    revalidateSeconds: config.verifier.revalidateSeconds,
    view,
    maxViewAgeMs: config.verifier.maxViewAgeMs,
    readStatuses: (tokens, signal) => readRevocationStatuses(db, tokens, { at: now(), signal }),
    refreshKeys: signingKeys.reload,
    cacheBytes: config.verifier.cacheBytes,
    now,
  });
  signingKeys.onReload(verifier.useKeys);
  metrics.watchTokenCache(verifier.cachedBytes);
  const onFeedError = warnRarely('the feed of revocations is behind');
  // The feed has a connection of its own: calls that wait for the other connections must not delay it.
  const revocationEvents = createRevocationEvents(connect('changes', 1));
  const revocationFeed = await followRevocationEvents(
    { revocationEvents, view, reloadKeys: signingKeys.reload, pollMs: config.verifier.pollMs, now },
    onFeedError,
  );
  started.defer(() => waitAtMost(FORCED_CLOSE_MS, revocationFeed.close()));
  if (config.database.listenUrl !== null) {
    const listening = listenForNotifications({
      url: config.database.listenUrl,
      guard,
      notify: revocationEvents.notify,
      onNotification: revocationFeed.wake,
      onError: onFeedError,
    });
    started.defer(() => waitAtMost(FORCED_CLOSE_MS, listening.close()));
  }
  return { verifier, revocationFeed };
}
