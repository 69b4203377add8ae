package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	authv1 "latchkey.dev/examples/clients/go/gen/latchkey/auth/v1"
	"latchkey.dev/examples/clients/go/latchkey"
	"latchkey.dev/examples/clients/go/watch"
)

const (
	audience    = "latchkey"
	maxAttempts = 30
)

// demo is a tour. Each step prints a line.
func demo(ctx context.Context, url, key string) error {
	connection, err := latchkey.Dial(url)
	if err != nil {
		return err
	}
	defer connection.Close()
	auth := authv1.NewAuthServiceClient(connection)
	email, password := strings.ToLower(rand.Text())+"@people.example", "pass phrase "+rand.Text()
	if _, err := auth.Register(ctx, &authv1.RegisterRequest{Email: email, Password: password, FullName: "Grace Hopper"}); err != nil {
		return err
	}
	signedIn, err := auth.Login(ctx, &authv1.LoginRequest{Email: email, Password: password})
	if err != nil {
		return err
	}
	fmt.Println("signed in")
	if err := ask(ctx, auth, signedIn.GetTokens().GetAccessToken()); err != nil {
		return err
	}
	fail(ctx, auth, email)
	if err := verifyLocally(ctx, auth, url, key, signedIn.GetTokens()); err != nil {
		return err
	}
	exhaust(ctx, auth)
	return nil
}

func ask(ctx context.Context, auth authv1.AuthServiceClient, token string) error {
	verified, err := auth.Verify(ctx, &authv1.VerifyRequest{AccessToken: token, Audience: audience})
	if err != nil {
		return err
	}
	principal := verified.GetPrincipal()
	fmt.Printf("Verify: %s holds %s\n", principal.GetUserId(), strings.Join(principal.GetRoles(), ", "))
	answer, err := auth.CheckRole(ctx, &authv1.CheckRoleRequest{
		Subject: &authv1.CheckRoleRequest_AccessToken{AccessToken: token}, Role: "admin",
	})
	if err != nil {
		return err
	}
	if answer.GetAllowed() {
		fmt.Println("CheckRole: allowed")
	} else {
		fmt.Println("CheckRole:", strings.TrimPrefix(answer.GetReason().String(), "REASON_"))
	}
	return nil
}

func fail(ctx context.Context, auth authv1.AuthServiceClient, email string) {
	_, err := auth.Register(ctx, &authv1.RegisterRequest{Email: "not an address", Password: "short"})
	fields := slices.Sorted(maps.Keys(latchkey.ViolationsOf(err)))
	fmt.Printf("Register: %s in %s\n", latchkey.ReasonOf(err), strings.Join(fields, ", "))
	_, err = auth.Login(ctx, &authv1.LoginRequest{Email: email, Password: "another pass phrase"})
	fmt.Println("Login:", latchkey.ReasonOf(err))
}

func verifyLocally(ctx context.Context, auth authv1.AuthServiceClient, url, key string, tokens *authv1.Tokens) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	follower := watch.Follow(ctx, latchkey.Dial, []string{url}, key, func(err error) { fmt.Println("Watch:", err) })
	select {
	case <-follower.Ready:
	case <-time.After(10 * time.Second):
		return fmt.Errorf("no snapshot within 10 seconds")
	}
	claims, err := watch.VerifyByJwks(ctx, url, follower.Issuer(), tokens.GetAccessToken(), audience)
	if err != nil {
		return err
	}
	fmt.Println("JWKS:", claims.Subject)
	verdict, subject := follower.Verify(ctx, tokens.GetAccessToken(), audience)
	fmt.Println("Watch:", subject)
	if _, err := auth.Logout(ctx, &authv1.LogoutRequest{RefreshToken: tokens.GetRefreshToken()}); err != nil {
		return err
	}
	for deadline := time.Now().Add(5 * time.Second); verdict == watch.Valid && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
		verdict, _ = follower.Verify(ctx, tokens.GetAccessToken(), audience)
	}
	fmt.Println("Watch after Logout:", verdict)
	if _, err := watch.VerifyByJwks(ctx, url, follower.Issuer(), tokens.GetAccessToken(), audience); err != nil {
		return err
	}
	fmt.Println("JWKS after Logout: accepted until exp")
	return nil
}

func exhaust(ctx context.Context, auth authv1.AuthServiceClient) {
	email := strings.ToLower(rand.Text()) + "@people.example"
	for range maxAttempts {
		_, err := auth.Login(ctx, &authv1.LoginRequest{Email: email, Password: "a wrong pass phrase"})
		if wait := latchkey.RetryAfter(err); wait > 0 {
			fmt.Printf("Login: %s, retry after %.0f s\n", latchkey.ReasonOf(err), wait.Seconds())
			return
		}
	}
	fmt.Printf("Login: no limit after %d attempts\n", maxAttempts)
}
