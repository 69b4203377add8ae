package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
)

func goOIDC(ctx context.Context, issuer, audience string) (func(token string) (string, error), error) {
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, err
	}
	verifier := provider.VerifierContext(ctx, &oidc.Config{ClientID: audience})
	return func(token string) (string, error) {
		verified, err := verifier.Verify(ctx, token)
		if err != nil {
			return "", err
		}
		if typeOf(token) != "at+jwt" {
			return "", errors.New("not an access token")
		}
		return verified.Subject, nil
	}, nil
}

func typeOf(token string) string {
	encoded, _, _ := strings.Cut(token, ".")
	var header struct{ Typ string }
	if text, err := base64.RawURLEncoding.DecodeString(encoded); err != nil || json.Unmarshal(text, &header) != nil {
		return ""
	}
	return header.Typ
}
