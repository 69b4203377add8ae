from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from jwks import key_set


def verifier(issuer, audience):
    keys = key_set(f"{issuer}/.well-known/jwks.json", KeySet.import_key_set)
    rules = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": audience},
        exp={"essential": True},
    )

    def verify(token):
        verified = jwt.decode(token, keys(), algorithms=["EdDSA", "ES256", "RS256"])
        rules.validate(verified.claims)
        if verified.header.get("typ") != "at+jwt":
            raise JoseError("not an access token")
        return verified.claims

    return verify
