//! The data of one stream, and the verdict about a token. It reads no clock: all times are milliseconds of the caller's
//! monotonic clock. The rules are those of docs/concepts/watch-protocol.md.
use std::collections::HashMap;

use crate::api::{KeysChanged, WatchResponse, change::Change};
use crate::token::{Claims, Key, headers_of, kid_of, read_claims, split};

/// After so long, every token that an event concerns has expired.
const KEEP_MS: i64 = 63 * 60 * 1_000;
const MAX_CLOCK_SKEW: i64 = 60;
/// Half of the range, so that a difference to it does not overflow.
const LONG_AGO: i64 = i64::MIN / 2;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    Valid,
    Invalid,
    Expired,
    AudienceMismatch,
    Revoked,
    Stale,
    /// Only the server can decide.
    Undecided,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Valid => "VALID",
            Verdict::Invalid => "TOKEN_INVALID",
            Verdict::Expired => "TOKEN_EXPIRED",
            Verdict::AudienceMismatch => "AUDIENCE_MISMATCH",
            Verdict::Revoked => "TOKEN_REVOKED",
            Verdict::Stale => "TOKEN_STALE",
            Verdict::Undecided => "UNDECIDED",
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Epochs {
    stale: i64,
    revoked: i64,
    drop_at: i64,
}

#[derive(Default)]
pub struct View {
    pub issuer: String,
    /// By the first part of a token. None before the first list.
    keys: Option<HashMap<String, Key>>,
    unusable_kids: Vec<String>,
    sessions: HashMap<String, i64>,
    users: HashMap<String, Epochs>,
    roles: HashMap<String, Epochs>,
    unknown_until: i64,
    confirmed_at: i64,
    /// Of the messages of this stream.
    least_delay: i64,
    /// The last least_delay: it stays while a new stream has sent nothing.
    clock_offset: i64,
}

impl View {
    /// Called before the first message of each stream.
    pub fn begin_stream(&mut self, is_snapshot: bool) {
        self.least_delay = i64::MAX;
        if is_snapshot {
            self.sessions.clear();
            self.users.clear();
            self.roles.clear();
            (self.confirmed_at, self.unknown_until) = (LONG_AGO, LONG_AGO);
        }
    }

    /// The message with the least delay gives the difference of the clocks.
    pub fn receive(&mut self, message: WatchResponse, arrived_at: i64) {
        self.least_delay = self.least_delay.min(arrived_at - milliseconds(message.sent_at));
        self.clock_offset = self.least_delay;
        let drop_at = arrived_at + KEEP_MS;
        for event in message.changes {
            match event.change {
                Some(Change::SessionEnded(event)) => drop(self.sessions.insert(event.session_id, drop_at)),
                Some(Change::UserChanged(event)) => {
                    let user = self.users.entry(event.user_id).or_default();
                    raise(user, event.stale_below_epoch, event.revoked_below_epoch, drop_at);
                }
                Some(Change::RoleChanged(event)) => {
                    raise(self.roles.entry(event.role).or_default(), event.stale_below_epoch, 0, drop_at);
                }
                Some(Change::KeysChanged(event)) => self.use_keys(event),
                None => self.unknown_until = drop_at,
            }
        }
        if !message.cursor.is_empty() {
            self.confirmed_at = milliseconds(message.as_of) + self.least_delay;
            self.sessions.retain(|_, drop_at| *drop_at > arrived_at);
            self.users.retain(|_, entry| entry.drop_at > arrived_at);
            self.roles.retain(|_, entry| entry.drop_at > arrived_at);
        }
    }

    fn use_keys(&mut self, changed: KeysChanged) {
        let mut keys = HashMap::new();
        self.unusable_kids.clear();
        for published in changed.keys {
            for header in headers_of(&published.kid, &published.algorithm) {
                match Key::from_spki(&published.algorithm, &published.public_key) {
                    Some(key) => drop(keys.insert(header, key)),
                    None => self.unusable_kids.push(published.kid.clone()),
                }
            }
        }
        (self.issuer, self.keys) = (changed.issuer, Some(keys));
    }

    /// Keys from elsewhere, which never change and have no revocations.
    pub fn of_keys(issuer: String, keys: HashMap<String, Key>) -> View {
        View { issuer, keys: Some(keys), unknown_until: LONG_AGO, ..View::default() }
    }

    /// The age of the data.
    pub fn behind_ms(&self, now: i64) -> i64 {
        now - self.confirmed_at
    }

    /// The claims are present unless the token is invalid.
    pub fn judge(&self, token: &str, audience: &str, now: i64, max_staleness_ms: i64) -> (Verdict, Option<Claims>) {
        let Some((header, _, _)) = split(token) else { return (Verdict::Invalid, None) };
        let Some(keys) = &self.keys else { return (Verdict::Undecided, None) };
        let is_stale = now < self.unknown_until || self.behind_ms(now) > max_staleness_ms;
        let Some(key) = keys.get(header) else {
            let may_be_new = kid_of(header).is_some_and(|kid| is_stale || self.unusable_kids.contains(&kid));
            return (if may_be_new { Verdict::Undecided } else { Verdict::Invalid }, None);
        };
        let server_ms = now - self.clock_offset;
        let is_ours =
            |claims: &Claims| claims.iss == self.issuer && claims.iat <= server_ms.div_euclid(1_000) + MAX_CLOCK_SKEW;
        let Some(claims) = read_claims(token, key).filter(is_ours) else { return (Verdict::Invalid, None) };
        let verdict = if claims.exp * 1_000 <= server_ms {
            Verdict::Expired
        } else if !audience.is_empty() && !claims.aud.iter().any(|one| one == audience) {
            Verdict::AudienceMismatch
        } else if is_stale {
            Verdict::Undecided
        } else {
            self.status_of(&claims)
        };
        (verdict, Some(claims))
    }

    fn status_of(&self, claims: &Claims) -> Verdict {
        let user = self.users.get(&claims.sub).copied().unwrap_or_default();
        let is_stale = |role: &String| self.roles.get(role).is_some_and(|entry| claims.roles_epoch < entry.stale);
        if self.sessions.contains_key(&claims.sid) || claims.epoch < user.revoked {
            Verdict::Revoked
        } else if claims.epoch < user.stale || claims.roles.iter().any(is_stale) {
            Verdict::Stale
        } else {
            Verdict::Valid
        }
    }
}

fn raise(entry: &mut Epochs, stale: i64, revoked: i64, drop_at: i64) {
    *entry = Epochs { stale: entry.stale.max(stale), revoked: entry.revoked.max(revoked), drop_at };
}

fn milliseconds(time: Option<prost_types::Timestamp>) -> i64 {
    time.map_or(0, |time| time.seconds * 1_000 + i64::from(time.nanos) / 1_000_000)
}
