"""Local verification by JWKS alone: it accepts the token of an ended session until `exp`."""

from urllib.parse import urljoin

import jwt


class JwksVerifier:
    def __init__(self, url, issuer, audience):
        self._keys = jwt.PyJWKClient(urljoin(url, "/.well-known/jwks.json"))
        self._issuer, self._audience = issuer, audience

    def verify(self, token):
        """Returns the claims. Raises jwt.PyJWTError."""
        verified = jwt.decode_complete(
            token,
            self._keys.get_signing_key_from_jwt(token),
            algorithms=["EdDSA", "ES256", "RS256"],
            issuer=self._issuer,
            audience=self._audience,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        if verified["header"].get("typ") != "at+jwt":
            raise jwt.InvalidTokenError("not an access token")
        return verified["payload"]
