package main

import (
	"context"
	"errors"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

func golangJWT(ctx context.Context, issuer, audience string) (func(token string) (string, error), error) {
	keys, err := keyfunc.NewDefaultCtx(ctx, []string{issuer + "/.well-known/jwks.json"})
	if err != nil {
		return nil, err
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{"EdDSA", "ES256", "RS256"}),
		jwt.WithIssuer(issuer),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
	)
	return func(token string) (string, error) {
		verified, err := parser.Parse(token, keys.Keyfunc)
		if err != nil {
			return "", err
		}
		if verified.Header["typ"] != "at+jwt" {
			return "", errors.New("not an access token")
		}
		return verified.Claims.GetSubject()
	}, nil
}
