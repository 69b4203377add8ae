from authlib.jose import JsonWebKey, JsonWebToken
from authlib.jose.errors import JoseError
from jwks import key_set


def verifier(issuer, audience):
    keys = key_set(f"{issuer}/.well-known/jwks.json", JsonWebKey.import_key_set)
    jwt = JsonWebToken(["EdDSA", "ES256", "RS256"])
    rules = {
        "iss": {"essential": True, "value": issuer},
        "aud": {"essential": True, "value": audience},
        "exp": {"essential": True},
    }

    def verify(token):
        claims = jwt.decode(token, keys(), claims_options=rules)
        claims.validate()
        if claims.header.get("typ") != "at+jwt":
            raise JoseError("not an access token")
        return claims

    return verify
