package watch

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "latchkey.dev/examples/clients/go/gen/latchkey/auth/v1"
	"latchkey.dev/examples/clients/go/latchkey"
)

// Unavailable means that neither this client nor a server can decide now.
const Unavailable = "UNAVAILABLE"

// ask calls the servers, the followed one first, until one answers.
func (f *Follower) ask(ctx context.Context, first int, token, audience string) (verdict, subject string) {
	for n := range f.urls {
		verdict, subject = f.askOne(ctx, f.urls[(first+n)%len(f.urls)], token, audience)
		if verdict != Unavailable {
			break
		}
	}
	return verdict, subject
}

func (f *Follower) askOne(ctx context.Context, url, token, audience string) (verdict, subject string) {
	connection, err := f.dial(url)
	if err != nil {
		return Unavailable, ""
	}
	defer connection.Close()
	request := &authv1.VerifyRequest{AccessToken: token, Audience: audience}
	response, err := authv1.NewAuthServiceClient(connection).Verify(ctx, request)
	if status.Code(err) == codes.Unauthenticated {
		return latchkey.ReasonOf(err), ""
	}
	if err != nil {
		return Unavailable, ""
	}
	if id := response.GetPrincipal().GetServiceAccountId(); id != "" {
		return Valid, id
	}
	return Valid, response.GetPrincipal().GetUserId()
}

// Issuer is set once Ready is closed.
func (f *Follower) Issuer() string {
	f.mutex.RLock()
	defer f.mutex.RUnlock()
	return f.view.Issuer
}
