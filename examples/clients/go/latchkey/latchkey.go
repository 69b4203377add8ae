// Package latchkey connects to a server and reads its errors.
package latchkey

import (
	_ "embed"
	"net/url"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

//go:embed service-config.json
var serviceConfig string

// Dial connects to http://host:port or https://host:port. The service config has the deadline and the retries of each
// method.
func Dial(address string) (*grpc.ClientConn, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	transport := insecure.NewCredentials()
	if parsed.Scheme == "https" {
		transport = credentials.NewTLS(nil)
	}
	return grpc.NewClient("dns:///"+parsed.Host,
		grpc.WithTransportCredentials(transport), grpc.WithDefaultServiceConfig(serviceConfig))
}

// ReasonOf returns the reason of an error, such as TOKEN_REVOKED, or an empty string for an error without one.
func ReasonOf(err error) string {
	return detail[*errdetails.ErrorInfo](err).GetReason()
}

// ViolationsOf returns the invalid fields of a request with a description each.
func ViolationsOf(err error) map[string]string {
	violations := map[string]string{}
	for _, violation := range detail[*errdetails.BadRequest](err).GetFieldViolations() {
		violations[violation.GetField()] = violation.GetDescription()
	}
	return violations
}

// RetryAfter returns the shortest time until the next attempt, or zero.
func RetryAfter(err error) time.Duration {
	return detail[*errdetails.RetryInfo](err).GetRetryDelay().AsDuration()
}

func detail[T any](err error) (found T) {
	for _, one := range status.Convert(err).Details() {
		if wanted, ok := one.(T); ok {
			return wanted
		}
	}
	return found
}
