// A client of Latchkey: see README.md.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"

	"latchkey.dev/examples/clients/go/latchkey"
	"latchkey.dev/examples/clients/go/watch"
)

const usage = "usage: demo URL | follow URL... | conformance FILE"

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return fmt.Errorf(usage)
	}
	switch args[0] {
	case "demo":
		return demo(ctx, args[1], os.Getenv("LATCHKEY_KEY"))
	case "follow":
		return follow(ctx, args[1:])
	case "conformance":
		return conformance(args[1])
	}
	return fmt.Errorf(usage)
}

// follow prints a verdict for each token on standard input: `ok <sub>` or the reason.
func follow(ctx context.Context, urls []string) error {
	logError := func(err error) { fmt.Fprintln(os.Stderr, latchkey.ReasonOf(err), err) }
	follower := watch.Follow(ctx, latchkey.Dial, urls, os.Getenv("LATCHKEY_KEY"), logError)
	tokens := bufio.NewScanner(os.Stdin)
	for tokens.Scan() {
		verdict, subject := follower.Verify(ctx, tokens.Text(), os.Getenv("AUDIENCE"))
		if verdict == watch.Valid {
			verdict = "ok " + subject
		}
		fmt.Println(verdict)
	}
	return tokens.Err()
}
