// Command h2spec runs the cases of github.com/summerwind/h2spec against a server, several at once, and prints each result as a line
// of JSON.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
)

// Result is a line of the output.
type Result struct {
	ID          string   `json:"id"`
	Section     string   `json:"section"`
	Description string   `json:"description"`
	Requirement string   `json:"requirement"`
	Outcome     string   `json:"outcome"`
	Expected    []string `json:"expected"`
	Actual      string   `json:"actual"`
}

type testCase struct {
	id string
	*spec.TestCase
}

func main() {
	host := flag.String("host", "127.0.0.1", "address of the server")
	port := flag.Int("port", 0, "port of the server")
	path := flag.String("path", "/", "path of a response with a body of at least 5 bytes")
	tls := flag.Bool("tls", false, "connect with TLS, and accept any certificate")
	timeout := flag.Duration("timeout", 2*time.Second, "time to wait for each frame")
	parallel := flag.Int("parallel", 8, "number of cases that run at once")
	flag.Parse()
	server := &config.Config{
		Host: *host, Port: *port, Path: *path, TLS: *tls, Insecure: true, Timeout: *timeout, MaxHeaderLen: 4000, Strict: true,
	}

	var cases []testCase
	for _, group := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
		cases = append(cases, casesOf(group)...)
	}
	results := make([]Result, len(cases))
	slots := make(chan struct{}, *parallel)
	var running sync.WaitGroup
	for i, one := range cases {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			results[i] = resultOf(one, run(server, one.TestCase))
		})
	}
	running.Wait()
	output := json.NewEncoder(os.Stdout)
	for _, result := range results {
		if err := output.Encode(result); err != nil {
			panic(err)
		}
	}
}

func casesOf(group *spec.TestGroup) []testCase {
	correct(group)
	var cases []testCase
	for i, one := range slices.Concat(group.Tests, group.StrictTests) {
		cases = append(cases, testCase{fmt.Sprintf("%s/%d", group.ID(), i+1), one})
	}
	for _, child := range group.Groups {
		cases = append(cases, casesOf(child)...)
	}
	return cases
}

func run(server *config.Config, one *spec.TestCase) (err error) {
	// Some cases read an event that does not exist when the server closes the connection.
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("h2spec panicked: %v", panicked)
		}
	}()
	conn, err := spec.Dial(server)
	if err != nil {
		return err
	}
	defer conn.Close()
	return one.Run(server, conn)
}

func resultOf(one testCase, err error) Result {
	result := Result{
		ID: one.id, Section: one.Parent.Title(), Description: one.Desc, Requirement: one.Requirement, Outcome: "failed", Expected: []string{},
	}
	var failure *spec.TestError
	switch {
	case err == nil:
		result.Outcome = "passed"
	case errors.Is(err, spec.ErrSkipped):
		result.Outcome = "skipped"
	case errors.As(err, &failure) && isReset(failure):
		result.Outcome = "passed"
	case errors.As(err, &failure):
		result.Expected, result.Actual = failure.Expected, failure.Actual
	default:
		result.Actual = err.Error()
	}
	return result
}

// A server that closes a connection with unread bytes resets it. h2spec reads this as an error since Go wraps ECONNRESET.
func isReset(failure *spec.TestError) bool {
	return strings.HasSuffix(failure.Actual, "connection reset by peer") && slices.Contains(failure.Expected, spec.ExpectedConnectionClosed)
}
