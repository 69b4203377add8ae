from jose import jwt
from jose.exceptions import JWTError
from jwks import key_set


def verifier(issuer, audience):
    keys = key_set(f"{issuer}/.well-known/jwks.json")
    options = {"require_exp": True, "require_iss": True, "require_aud": True}
    rules = {"algorithms": ["ES256", "RS256"], "issuer": issuer, "audience": audience, "options": options}

    def verify(token):
        claims = jwt.decode(token, keys(), **rules)
        if jwt.get_unverified_header(token).get("typ") != "at+jwt":
            raise JWTError("not an access token")
        return claims

    return verify
