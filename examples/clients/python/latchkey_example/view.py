"""The data of Watch in memory, and the verdict on a token (rules 13 to 19 and 27 of docs/concepts/watch-protocol.md)."""

from dataclasses import dataclass, field

from . import token as tokens

UNDECIDED = "UNDECIDED"
MAX_LIFETIME_SECONDS = 3600
MAX_SKEW_SECONDS = 60
KEEP_EVENTS_MS = (MAX_LIFETIME_SECONDS + 3 * MAX_SKEW_SECONDS) * 1000


@dataclass
class View:
    """All times are of this process's monotonic clock, except `_ms` of timestamps, which are of the server's."""

    issuer: str = ""
    keys: dict = field(default_factory=dict)  # by the encoded header of a token
    unusable_kids: set = field(default_factory=set)
    sessions: dict = field(default_factory=dict)
    users: dict = field(default_factory=dict)
    roles: dict = field(default_factory=dict)
    unknown_until_ms: float = float("-inf")
    confirmed_ms: float = float("-inf")
    # The monotonic clock minus the server's, plus the time that the fastest message of the stream took.
    offset_ms: float = 0
    is_first_message: bool = True

    def begin_stream(self, is_snapshot):
        # Until a message of the new stream arrives, the former offset gives the server's time.
        self.is_first_message = True
        if is_snapshot:
            self.sessions, self.users, self.roles = {}, {}, {}
            self.confirmed_ms = float("-inf")

    def receive(self, message, now_ms):
        delay_ms = now_ms - _ms(message.sent_at)
        self.offset_ms = delay_ms if self.is_first_message else min(self.offset_ms, delay_ms)
        self.is_first_message = False
        for change in message.changes:
            self._apply(change, now_ms)
        if message.cursor:
            self.confirmed_ms = _ms(message.as_of) + self.offset_ms
            self._drop_old_events(now_ms)

    def _apply(self, change, now_ms):
        kind = change.WhichOneof("change")
        drop_at = now_ms + KEEP_EVENTS_MS
        if kind == "keys_changed":
            self._use_keys(change.keys_changed)
        elif kind == "session_ended":
            self.sessions[change.session_ended.session_id] = drop_at
        elif kind == "user_changed":
            user = change.user_changed
            stale, revoked, _ = self.users.get(user.user_id, (0, 0, 0))
            below = max(stale, user.stale_below_epoch), max(revoked, user.revoked_below_epoch)
            self.users[user.user_id] = (*below, drop_at)
        elif kind == "role_changed":
            role = change.role_changed
            stale, _ = self.roles.get(role.role, (0, 0))
            self.roles[role.role] = (max(stale, role.stale_below_epoch), drop_at)
        else:
            self.unknown_until_ms = drop_at

    def _drop_old_events(self, now_ms):
        self.sessions = {key: drop_at for key, drop_at in self.sessions.items() if drop_at > now_ms}
        self.users = {key: user for key, user in self.users.items() if user[-1] > now_ms}
        self.roles = {key: role for key, role in self.roles.items() if role[-1] > now_ms}

    def _use_keys(self, message):
        loaded = {key.kid: (key, tokens.load_key(key.algorithm, key.public_key)) for key in message.keys}
        self.issuer = message.issuer
        self.unusable_kids = {kid for kid, (_, usable) in loaded.items() if usable is None}
        self.keys = {
            tokens.header_of(name, kid): usable
            for kid, (key, usable) in loaded.items()
            for name in tokens.names_of(key.algorithm)
            if usable is not None
        }

    def judge(self, token, audience, now_ms, max_staleness_ms):
        """Returns the verdict and the claims: an empty verdict for a valid token, else a reason or UNDECIDED."""
        is_fresh = now_ms >= self.unknown_until_ms and now_ms - self.confirmed_ms <= max_staleness_ms
        if self.issuer == "":
            return UNDECIDED, None
        if len(token) > tokens.MAX_LENGTH or token.count(".") != 2:
            return "TOKEN_INVALID", None
        header, payload, signature = token.split(".")
        try:
            key = self.keys.get(header)
            if key is None:
                return self._verdict_on_header(header, is_fresh), None
            if not tokens.is_signed(key, f"{header}.{payload}".encode(), tokens.decode(signature)):
                return "TOKEN_INVALID", None
            claims = tokens.parse_claims(tokens.decode(payload))
        except (ValueError, RecursionError):
            return "TOKEN_INVALID", None
        return self._verdict_on_claims(claims, audience, (now_ms - self.offset_ms) / 1000, is_fresh), claims

    def _verdict_on_header(self, header, is_fresh):
        canonical = tokens.HEADER.fullmatch(tokens.decode(header).decode())
        may_be_valid = canonical and (not is_fresh or canonical[1] in self.unusable_kids)
        return UNDECIDED if may_be_valid else "TOKEN_INVALID"

    def _verdict_on_claims(self, claims, audience, now_seconds, is_fresh):
        lifetime = claims["exp"] - claims["iat"]
        is_ours = claims["iss"] == self.issuer and claims["iat"] <= int(now_seconds) + MAX_SKEW_SECONDS
        if not (is_ours and 0 < lifetime <= MAX_LIFETIME_SECONDS):
            return "TOKEN_INVALID"
        if claims["exp"] <= now_seconds:
            return "TOKEN_EXPIRED"
        if audience and audience not in claims["aud"]:
            return "AUDIENCE_MISMATCH"
        if not is_fresh:
            return UNDECIDED
        stale_below, revoked_below, _ = self.users.get(claims["sub"], (0, 0, 0))
        if claims["sid"] in self.sessions or claims["epoch"] < revoked_below:
            return "TOKEN_REVOKED"
        stale_roles = (claims["roles_epoch"] < self.roles.get(role, (0, 0))[0] for role in claims["roles"])
        return "TOKEN_STALE" if claims["epoch"] < stale_below or any(stale_roles) else ""


def _ms(timestamp):
    return timestamp.seconds * 1000 + timestamp.nanos / 1e6
