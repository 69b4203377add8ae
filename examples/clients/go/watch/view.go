// Package watch verifies access tokens locally, with the keys and revocations of Latchkey's Watch stream. The rules are
// those of docs/concepts/watch-protocol.md.
package watch

import (
	"crypto"
	"crypto/x509"
	"math"
	"slices"

	authv1 "latchkey.dev/examples/clients/go/gen/latchkey/auth/v1"
)

// The verdicts about a token. Undecided: only the server can decide.
const (
	Valid            = "VALID"
	Invalid          = "TOKEN_INVALID"
	Expired          = "TOKEN_EXPIRED"
	AudienceMismatch = "AUDIENCE_MISMATCH"
	Revoked          = "TOKEN_REVOKED"
	Stale            = "TOKEN_STALE"
	Undecided        = "UNDECIDED"
)

// After so long, every token that an event concerns has expired.
const keepMs = 63 * 60 * 1_000

// Half of the range, so that a difference to it does not overflow.
const longAgo = math.MinInt64 / 2

type epochs struct{ stale, revoked, dropAt int64 }

// View has the data of one stream. It reads no clock: all times are milliseconds of the caller's monotonic clock.
type View struct {
	Issuer       string
	keys         map[string]crypto.PublicKey // by the first part of a token
	unusableKids []string
	sessions     map[string]int64
	users, roles map[string]epochs
	unknownUntil int64
	confirmedAt  int64
	leastDelay   int64 // of the messages of this stream
	clockOffset  int64 // the last leastDelay: it stays while a new stream has sent nothing
}

// BeginStream is called before the first message of each stream.
func (v *View) BeginStream(isSnapshot bool) {
	v.leastDelay = math.MaxInt64
	if isSnapshot {
		v.sessions, v.users, v.roles = map[string]int64{}, map[string]epochs{}, map[string]epochs{}
		v.confirmedAt, v.unknownUntil = longAgo, longAgo
	}
}

// Receive applies a message. The message with the least delay gives the difference of the clocks.
func (v *View) Receive(message *authv1.WatchResponse, arrivedAt int64) {
	v.leastDelay = min(v.leastDelay, arrivedAt-message.GetSentAt().AsTime().UnixMilli())
	v.clockOffset = v.leastDelay
	dropAt := arrivedAt + keepMs
	for _, change := range message.GetChanges() {
		switch event := change.GetChange().(type) {
		case *authv1.Change_SessionEnded:
			v.sessions[event.SessionEnded.GetSessionId()] = dropAt
		case *authv1.Change_UserChanged:
			user := event.UserChanged
			raise(v.users, user.GetUserId(), epochs{user.GetStaleBelowEpoch(), user.GetRevokedBelowEpoch(), dropAt})
		case *authv1.Change_RoleChanged:
			raise(v.roles, event.RoleChanged.GetRole(), epochs{event.RoleChanged.GetStaleBelowEpoch(), 0, dropAt})
		case *authv1.Change_KeysChanged:
			v.useKeys(event.KeysChanged)
		default:
			v.unknownUntil = dropAt
		}
	}
	if message.GetCursor() != "" {
		v.confirmedAt = message.GetAsOf().AsTime().UnixMilli() + v.leastDelay
		v.drop(arrivedAt)
	}
}

func raise(entries map[string]epochs, id string, event epochs) {
	known := entries[id]
	entries[id] = epochs{max(known.stale, event.stale), max(known.revoked, event.revoked), event.dropAt}
}

func (v *View) drop(now int64) {
	for id, dropAt := range v.sessions {
		if dropAt <= now {
			delete(v.sessions, id)
		}
	}
	for _, entries := range []map[string]epochs{v.users, v.roles} {
		for id, entry := range entries {
			if entry.dropAt <= now {
				delete(entries, id)
			}
		}
	}
}

func (v *View) useKeys(changed *authv1.KeysChanged) {
	v.Issuer, v.keys, v.unusableKids = changed.GetIssuer(), map[string]crypto.PublicKey{}, nil
	for _, published := range changed.GetKeys() {
		key, err := x509.ParsePKIXPublicKey(published.GetPublicKey())
		if err != nil || !fits(key, published.GetAlgorithm()) {
			v.unusableKids = append(v.unusableKids, published.GetKid())
			continue
		}
		for _, header := range headersOf(published.GetKid(), published.GetAlgorithm()) {
			v.keys[header] = key
		}
	}
}

// StalenessMs is the age of the data.
func (v *View) StalenessMs(now int64) int64 {
	if now < v.unknownUntil {
		return math.MaxInt64
	}
	return now - v.confirmedAt
}

// Judge returns the verdict about a token. The claims are set unless it is Invalid.
func (v *View) Judge(token, audience string, now, maxStalenessMs int64) (string, *Claims) {
	header, _, _, ok := split(token)
	if !ok {
		return Invalid, nil
	}
	if v.keys == nil {
		return Undecided, nil
	}
	isStale, key := v.StalenessMs(now) > maxStalenessMs, v.keys[header]
	if key == nil {
		if kid := kidOf(header); kid != "" && (isStale || slices.Contains(v.unusableKids, kid)) {
			return Undecided, nil
		}
		return Invalid, nil
	}
	claims, serverMs := readClaims(token, key), now-v.clockOffset
	switch {
	case claims == nil || claims.Issuer != v.Issuer || claims.IssuedAt > serverMs/1_000+maxClockSkew:
		return Invalid, nil
	case claims.ExpiresAt*1_000 <= serverMs:
		return Expired, claims
	case audience != "" && !slices.Contains(claims.Audiences, audience):
		return AudienceMismatch, claims
	case isStale:
		return Undecided, claims
	}
	return v.statusOf(claims), claims
}

func (v *View) statusOf(claims *Claims) string {
	_, hasEnded := v.sessions[claims.SessionID]
	user := v.users[claims.Subject]
	isStale := func(role string) bool { return claims.RolesEpoch < v.roles[role].stale }
	switch {
	case hasEnded || claims.Epoch < user.revoked:
		return Revoked
	case claims.Epoch < user.stale || slices.ContainsFunc(claims.Roles, isStale):
		return Stale
	}
	return Valid
}
